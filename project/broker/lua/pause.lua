#!lua flags=allow-oom
-- pause(namespace; queue, queue, ...): these queues hand out no messages, all others do.
local key = KEYS[1] .. ":__paused__"
redis.call("DEL", key)
if #ARGV > 0 then
    redis.call("SADD", key, unpack(ARGV))
end
