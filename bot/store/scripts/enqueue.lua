-- ARGV: RQ's set of queues, key of the queue, key of the job, the job's id, then fields and values of the job
local id = ARGV[4]
if earlier_answer(id) then return 1 end
redis.call('SADD', ARGV[1], ARGV[2])
redis.call('HSET', ARGV[3], unpack(ARGV, 5))
redis.call('RPUSH', ARGV[2], id)
remember_answer(id, 1)
return 1
