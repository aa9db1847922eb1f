-- KEYS: a user's sessions. Answers when one was seen last, or nothing, and (field, value) of the live.
local found = { '' }
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] == '.seen' then
    found[1] = all[i + 1]
  elseif tonumber(string.match(all[i + 1], '^%d+')) > now then
    found[#found + 1] = all[i]
    found[#found + 1] = all[i + 1]
  end
end
return found
