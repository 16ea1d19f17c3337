-- ARGV: operation, scope, time of the freeze that the change was decided on (-1: none in force), new freeze ('': lift it), audit line
-- ('' for none), its app, retention ms, the line's SHA-256, the words beside it. The line is written first, and with the change.
local earlier = earlier_answer(ARGV[1])
if earlier then return tonumber(earlier) end
local at, found = -1, redis.call('HGET', key('freezes'), ARGV[2])
if found then
  local freeze = cjson.decode(found)
  if type(freeze['until']) ~= 'number' or freeze['until'] > now then at = freeze['at'] end
end
if at ~= tonumber(ARGV[3]) then return 0 end
if ARGV[5] ~= '' then append_audit(ARGV[6], tonumber(ARGV[7]), ARGV[5], ARGV[8], ARGV[9]) end
if ARGV[4] == '' then
  redis.call('HDEL', key('freezes'), ARGV[2])
else
  redis.call('HSET', key('freezes'), ARGV[2], ARGV[4])
end
remember_answer(ARGV[1], '1')
return 1
