-- ARGV: id, through, card version ('' for none)
local id = ARGV[1]
if redis.call('EXISTS', release_key(id)) == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', key('outbox:' .. id), '-inf', ARGV[2])
if ARGV[3] ~= '' then
  local shown = tonumber(redis.call('HGET', release_key(id), 'card_shown') or '0')
  if tonumber(ARGV[3]) > shown then redis.call('HSET', release_key(id), 'card_shown', ARGV[3]) end
end
return 1
