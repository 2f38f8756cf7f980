#!lua flags=allow-oom
-- leave(namespace; broker_id, queue, queue, ...): forgets a broker that has stopped, unless it still holds messages.
for i = 2, #ARGV do
    if redis.call("EXISTS", KEYS[1] .. ":__acks__." .. ARGV[1] .. "." .. ARGV[i]) == 1 then
        return 0
    end
end
return redis.call("ZREM", KEYS[1] .. ":__heartbeats__", ARGV[1])
