-- ARGV: operation, user, what is refused, window ms, app, retention ms, release id, line, its SHA-256, the words beside it
-- The first is written at once; others within the window are counted, and count_refusals writes their number.
if earlier_answer(ARGV[1]) then return 0 end
local name = ARGV[2] .. ' ' .. ARGV[3]
local kept = redis.call('HGET', key('refusals'), name)
if kept then
  local pending = cjson.decode(kept)
  pending[2] = whole(tonumber(pending[2]) + 1)
  redis.call('HSET', key('refusals'), name, cjson.encode(pending))
else
  append_audit(ARGV[5], tonumber(ARGV[6]), ARGV[8], ARGV[9], ARGV[10], ARGV[7])
  local ends = whole(now + tonumber(ARGV[4]))
  redis.call('HSET', key('refusals'), name, cjson.encode({ends, '0', ARGV[5], ARGV[7], ARGV[8], ARGV[9], ARGV[10]}))
end
remember_answer(ARGV[1], '1')
return 1
