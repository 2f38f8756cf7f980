#!lua flags=allow-oom
-- join(namespace; broker_id, queue) -> ids that this broker holds; makes the queue known as one that is consumed.
redis.call("SADD", KEYS[1] .. ":__queues__", ARGV[2])
return redis.call("SMEMBERS", KEYS[1] .. ":__acks__." .. ARGV[1] .. "." .. ARGV[2])
