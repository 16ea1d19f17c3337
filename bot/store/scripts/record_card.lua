-- ARGV: id, channel, ts
if redis.call('EXISTS', release_key(ARGV[1])) == 0 then return 0 end
redis.call('HSET', release_key(ARGV[1]), 'card_channel', ARGV[2], 'card_ts', ARGV[3])
return 1
