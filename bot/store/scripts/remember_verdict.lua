-- ARGV: app key, template hash, verdict, entry of verdicts, entry of healthy templates, healthy kept, verdicts kept
local app = ARGV[1]
redis.call('HSET', key('verdicts:' .. app), ARGV[2], ARGV[4])
redis.call('ZADD', key('verdict-order:' .. app), redis.call('INCR', key('order')), ARGV[2])
local surplus = redis.call('ZCARD', key('verdict-order:' .. app)) - tonumber(ARGV[7])
if surplus > 0 then
  for _, oldest in ipairs(redis.call('ZPOPMIN', key('verdict-order:' .. app), surplus)) do
    redis.call('HDEL', key('verdicts:' .. app), oldest)
  end
end
local healthy = key('healthy:' .. app)
redis.call('ZREM', healthy, ARGV[2])
if ARGV[3] == 'healthy' then
  redis.call('ZADD', healthy, redis.call('INCR', key('order')), ARGV[2])
  redis.call('HSET', key('templates:' .. app), ARGV[2], ARGV[5])
end
local too_many = redis.call('ZCARD', healthy) - tonumber(ARGV[6])
if too_many > 0 then redis.call('ZREMRANGEBYRANK', healthy, 0, too_many - 1) end
for _, known in ipairs(redis.call('HKEYS', key('templates:' .. app))) do
  if not redis.call('ZSCORE', healthy, known) then redis.call('HDEL', key('templates:' .. app), known) end
end
return 1
