#!lua flags=allow-oom
-- beat(namespace; broker_id): says, by the server's clock, that this broker is alive.
local now = redis.call("TIME")
redis.call("ZADD", KEYS[1] .. ":__heartbeats__", now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
