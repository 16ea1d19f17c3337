-- ARGV: operation, app key, ms, kept
if earlier_answer(ARGV[1]) then return 0 end
redis.call('LPUSH', key('durations:' .. ARGV[2]), ARGV[3])
redis.call('LTRIM', key('durations:' .. ARGV[2]), 0, tonumber(ARGV[4]) - 1)
remember_answer(ARGV[1], '1')
return 1
