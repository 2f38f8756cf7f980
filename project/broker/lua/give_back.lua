#!lua flags=allow-oom
-- give_back(namespace; broker_id, queue, ids...) -> how many went back
-- Held messages and this broker's inbox return to the front of their queue, in their old order.
local namespace, queue = KEYS[1], KEYS[1] .. ":" .. ARGV[2]
local inbox = namespace .. ":__inbox__." .. ARGV[1] .. "." .. ARGV[2]
local acks = namespace .. ":__acks__." .. ARGV[1] .. "." .. ARGV[2]
local back = 0
local function push(id)
    if redis.call("HEXISTS", queue .. ".msgs", id) == 1 then
        redis.call("LPUSH", queue, id)
        back = back + 1
    end
end
local waiting = redis.call("LRANGE", inbox, 0, -1)
redis.call("DEL", inbox)
for i = #waiting, 1, -1 do
    push(waiting[i])
end
for i = #ARGV, 3, -1 do
    if redis.call("SREM", acks, ARGV[i]) == 1 then
        push(ARGV[i])
    end
end
return back
