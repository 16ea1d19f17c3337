-- ARGV: operation, app, request
if earlier_answer(ARGV[1]) then return 1 end
redis.call('LREM', key('starts:' .. ARGV[2]), 1, ARGV[3])
remember_answer(ARGV[1], 1)
return 1
