-- A token bucket as its theoretical arrival time (generic cell rate algorithm). ARGV: budget, per minute, burst.
-- Answers 0 when granted, else the ms to wait. A re-sent call spends twice: that only makes the budget stricter.
local interval = 60000 / tonumber(ARGV[2])
local tolerance = (tonumber(ARGV[3]) - 1) * interval
local budget = key('budget:' .. ARGV[1])
local arrival = math.max(now, tonumber(redis.call('GET', budget) or '0'))
local wait = arrival - now - tolerance
if wait > 0 then return math.ceil(wait) end
redis.call('SET', budget, string.format('%.3f', arrival + interval), 'PX', math.ceil(arrival + interval - now))
return 0
