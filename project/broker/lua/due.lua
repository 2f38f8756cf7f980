#!lua flags=allow-oom
-- due(namespace; broker_id, queue, count) -> {milliseconds until the next one or -1, id, payload, id, payload, ...}
-- Takes the parked messages whose time has come, by the server's clock.
local queue = KEYS[1] .. ":" .. ARGV[2]
local acks = KEYS[1] .. ":__acks__." .. ARGV[1] .. "." .. ARGV[2]
local now = redis.call("TIME")
local timestamp = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call("ZADD", KEYS[1] .. ":__heartbeats__", timestamp, ARGV[1])
local taken = {-1}
for _, id in ipairs(redis.call("ZRANGEBYSCORE", queue .. ".etas", "-inf", timestamp, "LIMIT", 0, ARGV[3])) do
    redis.call("ZREM", queue .. ".etas", id)
    local payload = redis.call("HGET", queue .. ".msgs", id)
    if payload then
        redis.call("SADD", acks, id)
        taken[#taken + 1] = id
        taken[#taken + 1] = payload
    end
end
local next_one = redis.call("ZRANGE", queue .. ".etas", 0, 0, "WITHSCORES")
if next_one[2] then
    taken[1] = math.max(0, math.ceil(next_one[2] - timestamp))
end
return taken
