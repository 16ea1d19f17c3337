-- ARGV: release id, lock keys...  Answers {behind, position}; behind '' when all are held.
local id = ARGV[1]
local locks = {}
for index = 2, #ARGV do locks[#locks + 1] = ARGV[index] end
local final = redis.call('HGET', release_key(id), 'phase_final')
if final == '1' then return {'', -1} end
for _, lock in ipairs(locks) do redis.call('SADD', key('locks-of:' .. id), lock) end
if take_all_or_none(id, locks) then return {'', 0} end
local ticket = redis.call('HGET', release_key(id), 'ticket')
if not ticket then
  ticket = whole(redis.call('INCR', key('ticket')))
  redis.call('HSET', release_key(id), 'ticket', ticket)
end
local behind, position = '', 0
for _, lock in ipairs(locks) do
  local owner = redis.call('HGET', key('lock-owner'), lock)
  if owner ~= id then
    redis.call('ZADD', key('lock-queue:' .. lock), 'NX', ticket, id)
    local rank = redis.call('ZRANK', key('lock-queue:' .. lock), id)
    local ahead = owner or ''
    if rank > 0 then ahead = redis.call('ZRANGE', key('lock-queue:' .. lock), rank - 1, rank - 1)[1] end
    if ahead ~= '' and rank + 1 > position then behind, position = ahead, rank + 1 end
  end
end
return {behind, position}
