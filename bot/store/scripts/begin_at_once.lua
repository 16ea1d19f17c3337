-- Claims and begins a planned wake before its time. ARGV: wake id, nonce, runner, lease ms. Returns its token, '' when it is not
-- planned or another has claimed it; the same runner may ask twice.
local id, runner = ARGV[1], ARGV[3]
if redis.call('ZSCORE', key('leased'), id) then
  return redis.call('HGET', key('begun'), id) == runner and redis.call('HGET', key('tokens'), id) or ''
end
if redis.call('ZREM', key('due'), id) == 0 then return '' end
local token = ARGV[2] .. '-' .. whole(redis.call('INCR', key('lease')))
redis.call('ZADD', key('leased'), now + tonumber(ARGV[4]), id)
redis.call('HSET', key('tokens'), id, token)
redis.call('HSET', key('begun'), id, runner)
return token
