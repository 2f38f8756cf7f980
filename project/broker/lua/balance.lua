#!lua flags=no-writes
-- balance(namespace; queue, queue, ...) -> {stored messages less those that can be delivered, ...}
-- 0 is what it should be; more means that some are in no list, less that some in the list have no payload.
local brokers = redis.call("ZRANGE", KEYS[1] .. ":__heartbeats__", 0, -1)
local balance = {}
for i, name in ipairs(ARGV) do
    local queue = KEYS[1] .. ":" .. name
    local known = redis.call("LLEN", queue) + redis.call("ZCARD", queue .. ".etas")
    for _, broker_id in ipairs(brokers) do
        known = known + redis.call("LLEN", KEYS[1] .. ":__inbox__." .. broker_id .. "." .. name)
        known = known + redis.call("SCARD", KEYS[1] .. ":__acks__." .. broker_id .. "." .. name)
    end
    balance[i] = redis.call("HLEN", queue .. ".msgs") - known
end
return balance
