-- KEYS: a group's leases. ARGV: name, fence. What is given up lapses now and its fence is remembered.
local ends, rest = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (.*)$')
if ends and string.match(rest, '^%d+') == ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], whole(math.min(ends, now)) .. ' ' .. rest)
end
return 1
