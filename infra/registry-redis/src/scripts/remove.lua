-- KEYS: a user's sessions. ARGV: (field, epoch) of each.
for i = 1, #ARGV, 2 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i])
  if kept and string.match(kept, '^%d+ (%d+) ') <= ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('HSET', KEYS[1], '.seen', whole(now))
  end
end
return 1
