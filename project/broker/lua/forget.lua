#!lua flags=allow-oom
-- forget(namespace; ttl, queue, queue, ...): drops dead letters older than ttl milliseconds, some at a time.
local now = redis.call("TIME")
local oldest = now[1] * 1000 - tonumber(ARGV[1])
for i = 2, #ARGV do
    local dead = KEYS[1] .. ":" .. ARGV[i] .. ".XQ"
    local ids = redis.call("ZRANGEBYSCORE", dead, "-inf", oldest, "LIMIT", 0, 1000)
    if #ids > 0 then
        redis.call("ZREM", dead, unpack(ids))
        redis.call("HDEL", dead .. ".msgs", unpack(ids))
    end
end
