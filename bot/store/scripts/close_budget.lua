-- The other side asked for a pause. ARGV: budget, ms. Nothing is granted until it ends; then one call is allowed.
local budget = key('budget:' .. ARGV[1])
redis.call('HSET', budget, 'level', '1', 'at', now + tonumber(ARGV[2]), 'closed_until', now + tonumber(ARGV[2]))
redis.call('PEXPIRE', budget, 600000 + tonumber(ARGV[2]))
return 1
