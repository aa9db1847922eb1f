-- KEYS: a group's leases. ARGV: name, detail, time to live, fence. Answers 0 when a newer one was given.
local _, fence = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (%d+) ')
if fence and tonumber(fence) > tonumber(ARGV[4]) then return 0 end
put(ARGV[1], tonumber(ARGV[4]), ARGV[2], ARGV[3])
return 1
