-- A job's last act. ARGV: wake id, token, next wake ('' for none), 'done' or 'failed', job's ms. Does nothing after a lost
-- lease or on a second call.
local id = ARGV[1]
if redis.call('HGET', key('tokens'), id) ~= ARGV[2] then return 0 end
end_lease(id)
local kind = string.match(id, '^[^:]*')
redis.call('HINCRBY', key('counters'), 'job_ms:' .. kind, ARGV[5])
if ARGV[4] == 'failed' then
  comes_back(id, 0)
else
  redis.call('HINCRBY', key('counters'), 'jobs:' .. kind .. ':' .. ARGV[4], 1)
  redis.call('HDEL', key('failures'), id)
  if ARGV[3] ~= '' then redis.call('ZADD', key('due'), 'LT', ARGV[3], id) end
  if redis.call('ZSCORE', key('due'), id) then nudge() end
end
return 1
