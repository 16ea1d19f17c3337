-- ARGV: release id
redis.call('ZREM', key('heads-wanted'), ARGV[1])
return 1
