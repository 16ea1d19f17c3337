-- The other side asked for a pause. ARGV: budget, ms. Nobody is granted anything before it is over, and one call is allowed then.
local budget = key('budget:' .. ARGV[1])
redis.call('HSET', budget, 'level', '1', 'at', now + tonumber(ARGV[2]), 'closed_until', now + tonumber(ARGV[2]))
redis.call('PEXPIRE', budget, 600000 + tonumber(ARGV[2]))
return 1
