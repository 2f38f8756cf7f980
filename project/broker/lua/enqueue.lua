#!lua
-- enqueue(namespace; queue, RPUSH or LPUSH, id, payload, id, payload, ...) -> how many were new
-- A message whose payload is already stored is not stored or queued again. Those that go to the front stay in order.
local queue = KEYS[1] .. ":" .. ARGV[1]
local new = {}
local first, last, step = 3, #ARGV - 1, 2
if ARGV[2] == "LPUSH" then
    first, last, step = last, first, -2
end
for i = first, last, step do
    if redis.call("HSETNX", queue .. ".msgs", ARGV[i], ARGV[i + 1]) == 1 then
        new[#new + 1] = ARGV[i]
    end
end
if #new > 0 then
    redis.call(ARGV[2], queue, unpack(new))
end
return #new
