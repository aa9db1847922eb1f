-- KEYS: a group's leases. ARGV: name, detail, time to live. Answers whether it was taken, and the fence.
local ends, fence = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (%d+) ')
if ends and tonumber(ends) > now then return { '0', fence } end
local last = tonumber(redis.call('HGET', KEYS[1], '.last') or 0)
local mine = math.max(now_us, last + 1)
put(ARGV[1], mine, ARGV[2], ARGV[3])
return { '1', whole(mine) }
