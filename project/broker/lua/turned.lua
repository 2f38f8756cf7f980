#!lua flags=allow-oom
-- turned(namespace; cursor, 1 if there is more to compare, pause): ends a turn; the next may begin after the pause.
local key = KEYS[1] .. ":__reconcile__"
if redis.call("EXISTS", key) == 1 then -- else all was lost meanwhile, which the next turn must notice
    local time = redis.call("TIME")
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call("HSET", key, "at", now + ARGV[3], "cursor", ARGV[1], "healing", ARGV[2])
end
