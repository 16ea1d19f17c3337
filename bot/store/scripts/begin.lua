-- A job's first act. ARGV: wake id, token, runner, lease ms. Returns 1 when the job may run; the same runner may ask twice.
-- It reads everything anew, so it serves each wake from before, planned ones too; its last act says when the next is due.
local id = ARGV[1]
if redis.call('HGET', key('tokens'), id) ~= ARGV[2] then return 0 end
local begun = redis.call('HGET', key('begun'), id)
if begun and begun ~= ARGV[3] then return 0 end
redis.call('HSET', key('begun'), id, ARGV[3])
redis.call('ZREM', key('due'), id)
redis.call('ZADD', key('leased'), now + tonumber(ARGV[4]), id)
return 1
