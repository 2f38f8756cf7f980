#!lua flags=allow-oom
-- park(namespace; broker_id, queue, eta, id, eta, id, ...): keeps held messages until they are due.
local acks = KEYS[1] .. ":__acks__." .. ARGV[1] .. "." .. ARGV[2]
for i = 3, #ARGV, 2 do
    if redis.call("SREM", acks, ARGV[i + 1]) == 1 then
        redis.call("ZADD", KEYS[1] .. ":" .. ARGV[2] .. ".etas", ARGV[i], ARGV[i + 1])
    end
end
