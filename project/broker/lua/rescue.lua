#!lua flags=allow-oom
-- rescue(namespace; broker_id, heartbeat, queue, queue, ...) -> how many went back, or -1 if the broker is alive
-- Gives the messages of a dead broker back to the front of their queues, in their old order (ids sort by time),
-- unless it has sent a heartbeat since.
local namespace, broker_id = KEYS[1], ARGV[1]
local heartbeats = namespace .. ":__heartbeats__"
local score = redis.call("ZSCORE", heartbeats, broker_id)
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
    return -1
end
local back = 0
for i = 3, #ARGV do
    local queue = namespace .. ":" .. ARGV[i]
    local inbox = namespace .. ":__inbox__." .. broker_id .. "." .. ARGV[i]
    local acks = namespace .. ":__acks__." .. broker_id .. "." .. ARGV[i]
    local ids = redis.call("SMEMBERS", acks)
    table.sort(ids)
    for _, id in ipairs(redis.call("LRANGE", inbox, 0, -1)) do -- it came after what was fetched before
        ids[#ids + 1] = id
    end
    for j = #ids, 1, -1 do
        if redis.call("HEXISTS", queue .. ".msgs", ids[j]) == 1 then
            redis.call("LPUSH", queue, ids[j])
            back = back + 1
        end
    end
    redis.call("DEL", inbox, acks)
end
redis.call("ZREM", heartbeats, broker_id)
return back
