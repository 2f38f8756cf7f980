#!lua flags=no-writes
-- missing(namespace; queue, "id id ...") -> those of the ids under which nothing is stored
-- One text for all of them: an argument each would cost twice as much as looking it up.
local stored, missing = KEYS[1] .. ":" .. ARGV[1] .. ".msgs", {}
for id in string.gmatch(ARGV[2], "%S+") do
    if redis.call("HEXISTS", stored, id) == 0 then
        missing[#missing + 1] = id
    end
end
return missing
