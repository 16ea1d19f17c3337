-- ARGV: operation, app, request
local operation, app = ARGV[1], ARGV[2]
if earlier_answer(operation) then return 1 end
redis.call('RPUSH', key('starts:' .. app), ARGV[3])
remember_answer(operation, 1)
wake('start:' .. app, now)
return 1
