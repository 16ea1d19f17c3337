-- ARGV: number that is sealed, number to be sealed, its head, id of its entry. 0: another sealer was faster.
local sealed = redis.call('HGET', key('audit-state'), 'sealed') or '0'
if sealed ~= ARGV[1] then return 0 end
redis.call('HSET', key('audit-state'), 'sealed', ARGV[2], 'head', ARGV[3], 'sealed_at', ARGV[4])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('heads-wanted'), '(' .. ARGV[1], ARGV[2])) do wake('deliver:' .. id, now) end
return 1
