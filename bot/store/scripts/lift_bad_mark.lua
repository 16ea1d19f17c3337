-- ARGV: app key, template hash. Another verdict than bad stays: a release gave it meanwhile.
local app = ARGV[1]
local found = redis.call('HGET', key('verdicts:' .. app), ARGV[2])
if not found or string.sub(found, 1, 6) ~= '["bad"' then return 0 end
redis.call('HDEL', key('verdicts:' .. app), ARGV[2])
redis.call('ZREM', key('verdict-order:' .. app), ARGV[2])
return 1
