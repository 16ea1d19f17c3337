-- A ticker runs. ARGV: key that says so, ms it lasts, ms of the longest lease. Returns by how many ms the clock went back.
-- The clock may be set back, also by a failover to a server whose clock is behind. What was planned by the clock before would
-- be late by as much, so it moves along: a wake may come early, as a tick asks what is due. A lease is cut to its longest time
-- at most: moved, one that began since would end while its job runs.
local JITTER_MS = 2000
local back = tonumber(redis.call('GET', key('clock')) or '0') - now
if back > JITTER_MS then
  local planned = redis.call('ZRANGEBYSCORE', key('due'), '(' .. whole(now), '+inf', 'WITHSCORES')
  for index = 1, #planned, 2 do
    redis.call('ZADD', key('due'), whole(math.max(now, tonumber(planned[index + 1]) - back)), planned[index])
  end
  local longest = now + tonumber(ARGV[3])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leased'), '(' .. whole(longest), '+inf')) do
    redis.call('ZADD', key('leased'), whole(longest), id)
  end
  nudge()
end
redis.call('SET', key('clock'), whole(now))
redis.call('SET', key('passing:' .. ARGV[1]), '1', 'PX', ARGV[2])
return back > JITTER_MS and back or 0
