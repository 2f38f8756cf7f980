#!lua flags=no-writes
-- holds(namespace; queue, ids...) -> {1 or 0, ...}
local held = {}
for i = 2, #ARGV do
    held[i - 1] = redis.call("HEXISTS", KEYS[1] .. ":" .. ARGV[1] .. ".msgs", ARGV[i])
end
return held
