-- ARGV: operation, key. Returns the value once; a re-sent call gets it again, a second taker does not.
local first = earlier_answer(ARGV[1])
if first then return first end
local value = redis.call('GETDEL', key('passing:' .. ARGV[2]))
if value then remember_answer(ARGV[1], value) end
return value
