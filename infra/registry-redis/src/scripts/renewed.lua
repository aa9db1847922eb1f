-- KEYS: since when gateways renew without a break. ARGV: time to live.
local since = string.match(redis.call('GET', KEYS[1]) or '', '^%d+') or whole(now)
redis.call('SET', KEYS[1], since .. ' ' .. ARGV[1], 'PX', whole(math.max(1, math.floor(ARGV[1] / 2))))
return 1
