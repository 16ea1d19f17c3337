-- ARGV: operation, cluster and app, locks that the change was decided on ('': none), new locks ('': none), audit line ('' for none),
-- its app, retention ms, the line's SHA-256, the words beside it, its release. The line is written first, and with the change.
local earlier = earlier_answer(ARGV[1])
if earlier then return tonumber(earlier) end
if (redis.call('HGET', key('automation-locks'), ARGV[2]) or '') ~= ARGV[3] then return 0 end
if ARGV[5] ~= '' then append_audit(ARGV[6], tonumber(ARGV[7]), ARGV[5], ARGV[8], ARGV[9], ARGV[10]) end
if ARGV[4] == '' then
  redis.call('HDEL', key('automation-locks'), ARGV[2])
else
  redis.call('HSET', key('automation-locks'), ARGV[2], ARGV[4])
end
remember_answer(ARGV[1], '1')
return 1
