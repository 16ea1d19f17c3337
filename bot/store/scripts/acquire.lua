-- ARGV: release id, lock keys...  Returns {behind, position}: behind is '' when all are held, with the lock of the release's app.
local id = ARGV[1]
local found = redis.call('HMGET', release_key(id), 'app', 'phase_final', 'place')
-- A record of an older version has no place.
local app, final = found[3] or found[1], found[2]
if not app or final == '1' then return {'', -1} end
local locks = {app_lock(app)}
for index = 2, #ARGV do locks[#locks + 1] = ARGV[index] end
for _, lock in ipairs(locks) do join_queue(id, lock) end
if take_all_or_none(id, locks) then return {'', 0} end
local behind, position = '', 0
for _, lock in ipairs(locks) do
  local owner = redis.call('HGET', key('lock-owner'), lock)
  if owner ~= id then
    local rank = redis.call('ZRANK', key('lock-queue:' .. lock), id)
    local ahead = owner or ''
    if rank > 0 then ahead = redis.call('ZRANGE', key('lock-queue:' .. lock), rank - 1, rank - 1)[1] end
    if ahead ~= '' and rank + 1 > position then behind, position = ahead, rank + 1 end
  end
end
return {behind, position}
