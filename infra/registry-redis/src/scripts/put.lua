-- Puts a lease under its name, and forgets those that lapsed a day ago.
local function put(name, fence, detail, ttl)
  local is_held = false
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local ends = string.sub(all[i], 1, 1) ~= '.' and tonumber(string.match(all[i + 1], '^%d+'))
    if ends and ends > now then
      is_held = true
    elseif ends and ends < now - 86400000 then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
  if not is_held then redis.call('HSET', KEYS[1], '.since', whole(now)) end
  local last = tonumber(redis.call('HGET', KEYS[1], '.last') or 0)
  redis.call('HSET', KEYS[1], '.last', whole(math.max(last, fence)), '.ttl', ttl)
  redis.call('HSET', KEYS[1], name, whole(now + ttl) .. ' ' .. whole(fence) .. ' ' .. detail)
  redis.call('PEXPIRE', KEYS[1], whole(86400000 + ttl))
end

