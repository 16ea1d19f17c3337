-- A worker process died. ARGV: wake id and runner of each lease whose runner is dead, or that never began (runner ''). A job that died
-- comes back at once, then after ever longer waits: a job that kills its process each time must not keep killing.
local freed = 0
for index = 1, #ARGV, 2 do
  local id, runner = ARGV[index], ARGV[index + 1]
  local begun = redis.call('HGET', key('begun'), id)
  if (begun or '') == runner and redis.call('ZSCORE', key('leased'), id) then
    if runner == '' then
      redis.call('ZADD', key('leased'), 'XX', 'LT', now, id)
    else
      end_lease(id)
      comes_back(id, 1)
      redis.call('HINCRBY', key('counters'), 'leases_taken_over', 1)
    end
    freed = freed + 1
  end
end
if freed > 0 then nudge() end
return freed
