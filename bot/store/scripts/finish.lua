-- A job's last act. ARGV: wake id, token, next wake ('' for none), 'done' or 'failed', job's ms, runner ('' for the holder itself; else
-- host and process of a dead one). A lost lease, a second call, or a copy of the job that somebody else has begun: nothing.
local id = ARGV[1]
if redis.call('HGET', key('tokens'), id) ~= ARGV[2] then return 0 end
local begun = redis.call('HGET', key('begun'), id)
if ARGV[6] ~= '' and begun and string.sub(begun, 1, #ARGV[6]) ~= ARGV[6] then return 0 end
redis.call('ZREM', key('leased'), id)
redis.call('HDEL', key('tokens'), id)
redis.call('HDEL', key('begun'), id)
local kind = string.match(id, '^[^:]*')
redis.call('HINCRBY', key('counters'), 'jobs:' .. kind .. ':' .. ARGV[4], 1)
redis.call('HINCRBY', key('counters'), 'job_ms:' .. kind, ARGV[5])
if ARGV[4] == 'failed' then
  -- A job that fails again and again comes back ever later, at most after a minute.
  local failures = redis.call('HINCRBY', key('failures'), id, 1)
  wake(id, now + math.min(60000, 500 * 2 ^ math.min(failures - 1, 10)))
else
  redis.call('HDEL', key('failures'), id)
  if ARGV[3] ~= '' then redis.call('ZADD', key('due'), 'LT', ARGV[3], id) end
  if redis.call('ZSCORE', key('due'), id) then nudge() end
end
return 1
