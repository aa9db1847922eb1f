-- KEYS: a user's sessions. ARGV: time to live, time to remember, then (field, epoch, rest) of each.
-- Epochs are written with all their 20 digits: they compare as texts.
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= '.seen' and tonumber(string.match(all[i + 1], '^%d+')) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
for i = 3, #ARGV, 3 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i])
  if not kept or string.match(kept, '^%d+ (%d+) ') <= ARGV[i + 1] then
    local ends = whole(now + ARGV[1])
    redis.call('HSET', KEYS[1], ARGV[i], ends .. ' ' .. ARGV[i + 1] .. ' ' .. ARGV[i + 2])
  end
end
redis.call('HSET', KEYS[1], '.seen', whole(now))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
