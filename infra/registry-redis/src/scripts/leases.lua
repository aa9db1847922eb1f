-- KEYS: a group's leases. Answers whether it is settled, and (name, fence, detail) of the live.
local found = { '0' }
local since, ttl
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] == '.since' then
    since = all[i + 1]
  elseif all[i] == '.ttl' then
    ttl = all[i + 1]
  elseif all[i] ~= '.last' then
    local ends, fence, detail = string.match(all[i + 1], '^(%d+) (%d+) (.*)$')
    if tonumber(ends) > now then
      found[#found + 1] = all[i]
      found[#found + 1] = fence
      found[#found + 1] = detail
    end
  end
end
if #found > 1 and now - since >= tonumber(ttl) then found[1] = '1' end
return found
