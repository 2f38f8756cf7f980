#!lua flags=allow-oom
-- sweep(namespace; queue, longest, cursor, count) -> {cursor to go on from, how many went back}, or {} if it must wait
-- Puts stored messages that are in no list at the front of their queue, oldest first, some at each call. The first
-- call (cursor 0) drops what the list has twice or without a payload. A list longer than longest has to shrink first:
-- nothing else may wait for as long as looking through it would take.
local namespace, name, longest = KEYS[1], ARGV[1], tonumber(ARGV[2])
local queue, messages = namespace .. ":" .. name, namespace .. ":" .. name .. ".msgs"
if redis.call("LLEN", queue) + redis.call("ZCARD", queue .. ".etas") > longest then
    return {}
end

local known = {}
for _, id in ipairs(redis.call("ZRANGE", queue .. ".etas", 0, -1)) do
    known[id] = true
end
for _, broker_id in ipairs(redis.call("ZRANGE", namespace .. ":__heartbeats__", 0, -1)) do
    for _, id in ipairs(redis.call("LRANGE", namespace .. ":__inbox__." .. broker_id .. "." .. name, 0, -1)) do
        known[id] = true
    end
    for _, id in ipairs(redis.call("SMEMBERS", namespace .. ":__acks__." .. broker_id .. "." .. name)) do
        known[id] = true
    end
end

local list, kept = redis.call("LRANGE", queue, 0, -1), {}
for _, id in ipairs(list) do
    if ARGV[3] ~= "0" then
        known[id] = true
    elseif not known[id] and redis.call("HEXISTS", messages, id) == 1 then
        known[id] = true
        kept[#kept + 1] = id
    end
end
local function push(command, ids)
    for i = 1, #ids, 1000 do
        redis.call(command, queue, unpack(ids, i, math.min(i + 999, #ids)))
    end
end
if ARGV[3] == "0" and #kept < #list then
    redis.call("DEL", queue)
    push("RPUSH", kept)
end

local scan, stranded = redis.call("HSCAN", messages, ARGV[3], "COUNT", ARGV[4]), {}
for i = 1, #scan[2], 2 do
    if not known[scan[2][i]] then
        stranded[#stranded + 1] = scan[2][i]
    end
end
table.sort(stranded, function(a, b) return a > b end)
push("LPUSH", stranded)
return {scan[1], #stranded}
