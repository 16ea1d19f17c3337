-- ARGV: window ms, audit retention ms. One entry for the refusals that were counted in a window that is over, and a new window for them.
local pending = redis.call('HGETALL', key('refusals'))
for index = 1, #pending, 2 do
  local name, one = pending[index], cjson.decode(pending[index + 1])
  if tonumber(one[1]) <= now then
    if one[2] == '0' then
      redis.call('HDEL', key('refusals'), name)
    else
      append_audit(one[3], tonumber(ARGV[2]), one[5], one[6], one[7], one[4], one[2])
      local ends = whole(now + tonumber(ARGV[1]))
      redis.call('HSET', key('refusals'), name, cjson.encode({ends, '0', one[3], one[4], one[5], one[6], one[7]}))
    end
  end
end
return 1
