-- A worker process died. ARGV: token of each lease whose runner is dead or that nobody began. Their leases end now.
local freed = 0
for index = 1, #ARGV, 2 do
  local id, runner = ARGV[index], ARGV[index + 1]
  local begun = redis.call('HGET', key('begun'), id)
  if (begun or '') == runner and redis.call('ZSCORE', key('leased'), id) then
    redis.call('ZADD', key('leased'), 'XX', 'LT', now, id)
    freed = freed + 1
  end
end
if freed > 0 then nudge() end
return freed
