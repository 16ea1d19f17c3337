-- ARGV: operation, user ('': none), retention ms, line, its SHA-256, then the numbers of the entries whose words go. An entry says so.
if earlier_answer(ARGV[1]) then return 0 end
for index = 6, #ARGV do redis.call('HDEL', key('audit-words'), ARGV[index]) end
for _, name in ipairs(redis.call('HKEYS', key('refusals'))) do
  if ARGV[2] == '' or string.sub(name, 1, #ARGV[2] + 1) == ARGV[2] .. ' ' then
    local pending = cjson.decode(redis.call('HGET', key('refusals'), name))
    pending[7] = ''
    redis.call('HSET', key('refusals'), name, cjson.encode(pending))
  end
end
append_audit('', tonumber(ARGV[3]), ARGV[4], ARGV[5], '', '')
remember_answer(ARGV[1], '1')
return 1
