#!lua flags=allow-oom
-- turn(namespace; lease, hurry) -> {} or {cursor, 1 if all is to be compared, 1 if messages were lost lately}
-- Gives one caller at a time, for lease milliseconds, the turn to compare runs with the messages that are here.
-- All is to be compared once this server is another one than at the last turn (a restart, a failover), or empty.
local key = KEYS[1] .. ":__reconcile__"
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local server = string.match(redis.call("INFO", "server"), "run_id:(%w+)") or "unknown"
local state = redis.call("HMGET", key, "server", "at", "cursor", "healing", "hurry_until")
if state[1] ~= server then
    state = {server, 0, "", 1, now + ARGV[2]}
    redis.call("HSET", key, "server", server, "cursor", "", "healing", 1, "hurry_until", state[5])
elseif now < tonumber(state[2]) then
    return {}
end
redis.call("HSET", key, "at", now + ARGV[1])
return {state[3], tonumber(state[4]), now < tonumber(state[5]) and 1 or 0}
