-- KEYS: when an allowance is full again, in microseconds. ARGV: interval, burst, cost. Answers for how
-- many microseconds to wait. (The generic cell rate algorithm, ITU-T I.371.)
local burst = tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now_us)
full = full + ARGV[1] * math.min(tonumber(ARGV[3]), burst)
local wait = full - now_us - ARGV[1] * burst
if wait > 0 then return whole(wait) end
redis.call('SET', KEYS[1], whole(full), 'PX', whole(math.max(1, math.ceil((full - now_us) / 1000))))
return '0'
