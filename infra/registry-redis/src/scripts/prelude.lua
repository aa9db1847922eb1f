-- Milliseconds and microseconds of Redis's clock; numbers here are exact below 2^53.
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)
local function whole(number) return string.format('%.0f', number) end

