-- ARGV: id, version read, document without names. Does not count as a change of the release's version.
if redis.call('HGET', release_key(ARGV[1]), 'version') ~= ARGV[2] then return 0 end
redis.call('HSET', release_key(ARGV[1]), 'document', ARGV[3])
redis.call('ZREM', key('named'), ARGV[1])
return 1
