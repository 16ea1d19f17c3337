-- ARGV: operation, scope
if earlier_answer(ARGV[1]) then return 1 end
local removed = redis.call('HDEL', key('freezes'), ARGV[2])
if removed == 1 then remember_answer(ARGV[1], '1') end
return removed
