#!lua flags=allow-oom
-- move(namespace; broker_id, queue, id, new_queue, new_id, new_payload) -> 1 if it was moved
-- Acks a held message and queues its successor in one step: neither lost nor doubled, however often it is sent.
local namespace, queue, target = KEYS[1], KEYS[1] .. ":" .. ARGV[2], KEYS[1] .. ":" .. ARGV[4]
if redis.call("SREM", namespace .. ":__acks__." .. ARGV[1] .. "." .. ARGV[2], ARGV[3]) == 0 then
    return 0
end
redis.call("HDEL", queue .. ".msgs", ARGV[3])
redis.call("HSET", target .. ".msgs", ARGV[5], ARGV[6])
redis.call("RPUSH", target, ARGV[5])
return 1
