#!lua flags=allow-oom
-- settle(namespace; broker_id, queue, ack_count, acked ids..., nacked ids...)
-- An ack deletes the payload even if the message was taken away from this broker: the work is done.
-- A nack needs the message to be still held, so sending either twice changes nothing.
local namespace, ack_count = KEYS[1], tonumber(ARGV[3])
local acks = namespace .. ":__acks__." .. ARGV[1] .. "." .. ARGV[2]
local messages = namespace .. ":" .. ARGV[2] .. ".msgs"
local dead = namespace .. ":" .. string.gsub(ARGV[2], "%.DQ$", "") .. ".XQ"
local now = redis.call("TIME")
local timestamp = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call("ZADD", namespace .. ":__heartbeats__", timestamp, ARGV[1])

if ack_count > 0 then
    redis.call("SREM", acks, unpack(ARGV, 4, 3 + ack_count))
    redis.call("HDEL", messages, unpack(ARGV, 4, 3 + ack_count))
end
for i = 4 + ack_count, #ARGV do
    local payload = redis.call("SREM", acks, ARGV[i]) == 1 and redis.call("HGET", messages, ARGV[i])
    if payload then
        redis.call("ZADD", dead, timestamp, ARGV[i])
        redis.call("HSET", dead .. ".msgs", ARGV[i], payload)
        redis.call("HDEL", messages, ARGV[i])
    end
end
