-- A token bucket with a queue. ARGV: budget, per minute, burst, reserve, claimant, rank (0 goes first).
-- Returns 0 when granted, else the ms after which to ask again. Claimants wait in order of rank, then of their first call, so none is
-- overtaken by its own rank. Rank 0 may take the last token, rank 1 leaves half of `reserve`, all others leave it whole.
-- A re-sent call books twice: that only makes the budget stricter.
local budget, claimant, rank = key('budget:' .. ARGV[1]), ARGV[5], tonumber(ARGV[6])
local queue, promised = key('budget-queue:' .. ARGV[1]), key('budget-promised:' .. ARGV[1])
local interval, burst, reserve = 60000 / tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local RANK, LOST_MS, KEPT_MS = 1e13, 15000, 600000

local found = redis.call('HMGET', budget, 'level', 'at', 'closed_until', 'asked')
-- By a clock that was set back since the last call, times count from that call, and places in the queue mean nothing.
local back = tonumber(found[4] or '0') - now
if back > 2000 then redis.call('DEL', queue, promised) else back = 0 end
local level = math.min(burst, tonumber(found[1] or burst) + (now - tonumber(found[2] or now) + back) / interval)
local closed = math.max(0, tonumber(found[3] or '0') - now - back)
-- A claimant that did not ask again in time loses its place.
for _, lost in ipairs(redis.call('ZRANGEBYSCORE', promised, '-inf', now - LOST_MS)) do
  redis.call('ZREM', queue, lost)
  redis.call('ZREM', promised, lost)
end
local stands = tonumber(redis.call('ZSCORE', queue, claimant) or 'nil')
local place = rank * RANK + (stands and stands % RANK or now)
redis.call('ZADD', queue, stands and math.min(stands, place) or place, claimant)
local ahead = redis.call('ZRANK', queue, claimant)
local kept = rank == 0 and 0 or rank == 1 and math.floor(reserve / 2) or reserve
local free = level - kept - ahead
local wait = 0
if free >= 1 and closed == 0 then
  level = level - 1
  redis.call('ZREM', queue, claimant)
  redis.call('ZREM', promised, claimant)
else
  wait = math.max(1, closed, math.ceil((1 - free) * interval))
  redis.call('ZADD', promised, now + wait, claimant)
end
redis.call('HSET', budget, 'level', string.format('%.6f', level), 'at', now, 'asked', now)
if back > 0 then redis.call('HSET', budget, 'closed_until', whole(now + closed)) end
for _, name in ipairs({budget, queue, promised}) do redis.call('PEXPIRE', name, KEPT_MS) end
return wait
