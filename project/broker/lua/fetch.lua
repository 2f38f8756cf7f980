#!lua flags=allow-oom
-- fetch(namespace; broker_id, queue, count) -> {id, payload, id, payload, ...}
-- Takes what the blocking wait put into this broker's inbox, then up to count messages in all.
-- A paused queue gets back what was taken from it, and the answer is {"paused"}.
local namespace, broker_id, count = KEYS[1], ARGV[1], tonumber(ARGV[3])
local queue = namespace .. ":" .. ARGV[2]
local inbox = namespace .. ":__inbox__." .. broker_id .. "." .. ARGV[2]
local acks = namespace .. ":__acks__." .. broker_id .. "." .. ARGV[2]
local now = redis.call("TIME")
redis.call("ZADD", namespace .. ":__heartbeats__", now[1] * 1000 + math.floor(now[2] / 1000), broker_id)

local ids = redis.call("LRANGE", inbox, 0, -1)
if #ids > 0 then
    redis.call("DEL", inbox)
end
if redis.call("SISMEMBER", namespace .. ":__paused__", ARGV[2]) == 1 then
    for i = #ids, 1, -1 do
        redis.call("LPUSH", queue, ids[i])
    end
    return {"paused"}
end
if #ids < count then
    for _, id in ipairs(redis.call("LPOP", queue, count - #ids) or {}) do
        ids[#ids + 1] = id
    end
end
if #ids == 0 then
    return ids
end

local payloads, fetched = redis.call("HMGET", queue .. ".msgs", unpack(ids)), {}
for i, id in ipairs(ids) do
    if payloads[i] then -- an id without a payload was acked by a worker taken for dead
        redis.call("SADD", acks, id)
        fetched[#fetched + 1] = id
        fetched[#fetched + 1] = payloads[i]
    end
end
return fetched
