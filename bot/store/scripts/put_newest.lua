-- ARGV: key, value, order, ttl ms. Writes unless the key holds a later order; returns whether the value is there now. Idempotent.
local name, order = key('passing:' .. ARGV[1]), key('passing-order:' .. ARGV[1])
local stands = tonumber(redis.call('GET', order) or '-1')
if stands > tonumber(ARGV[3]) then return 0 end
redis.call('SET', name, ARGV[2], 'PX', ARGV[4])
redis.call('SET', order, ARGV[3], 'PX', ARGV[4])
return 1
