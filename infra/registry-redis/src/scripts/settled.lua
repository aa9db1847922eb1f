-- KEYS: since when gateways renew without a break.
local since, ttl = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)')
return since and now - since >= tonumber(ttl) and 1 or 0
