-- Repairs what a lost write, a restored backup or a manual edit may have left. Returns one line for each repair.
-- ARGV: audit retention ms. An app's view of the audit is trimmed when a line is appended; of an app without releases it goes whole.
local repairs = {}
local function told(line) repairs[#repairs + 1] = line end
local function is_gone(id) return redis.call('EXISTS', release_key(id)) == 0 end
local function is_final(id) return redis.call('HGET', release_key(id), 'phase_final') == '1' end
for _, id in ipairs(redis.call('ZRANGE', key('active'), 0, -1)) do
  if is_gone(id) or is_final(id) then
    redis.call('ZREM', key('active'), id)
    told(id .. ': listed as active without being so')
  elseif not redis.call('ZSCORE', key('due'), 'release:' .. id) and not redis.call('ZSCORE', key('leased'), 'release:' .. id) then
    -- Not reported: a release that waits for people wakes only now and then.
    wake('release:' .. id, now)
  end
end
local owners = redis.call('HGETALL', key('lock-owner'))
for index = 1, #owners, 2 do
  local lock, id = owners[index], owners[index + 1]
  if (is_gone(id) or is_final(id)) and redis.call('HGET', key('lock-owner'), lock) == id then
    redis.call('SADD', key('locks-of:' .. id), lock)
    free_locks(id)
    told(id .. ': held ' .. lock .. ' though it is over; freed')
  end
end
-- A finished release that is still first in a queue would block all releases behind it: no lock is handed over to it.
for _, id in ipairs(redis.call('ZRANGE', key('active'), 0, -1)) do
  for _, lock in ipairs(redis.call('SMEMBERS', key('locks-of:' .. id))) do
    local lost = 0
    for _, waiter in ipairs(redis.call('ZRANGE', key('lock-queue:' .. lock), 0, -1)) do
      if is_gone(waiter) or is_final(waiter) then lost = lost + redis.call('ZREM', key('lock-queue:' .. lock), waiter) end
    end
    if lost > 0 then
      told(id .. ': waited for ' .. lock .. ' behind ' .. whole(lost) .. ' that are over')
      if redis.call('HEXISTS', key('lock-owner'), lock) == 0 then hand_over({lock}) end
    end
  end
end
local running = redis.call('HGETALL', key('same'))
for index = 1, #running, 2 do
  local id = running[index + 1]
  if is_gone(id) or is_final(id) then redis.call('HDEL', key('same'), running[index]) end
end
for _, id in ipairs(redis.call('ZREVRANGE', key('recent'), 0, 499)) do
  local record = redis.call('HMGET', release_key(id), 'card_wanted', 'card_shown')
  if not record[1] then
    redis.call('ZREM', key('recent'), id)
    redis.call('ZREM', key('named'), id)
  elseif (tonumber(record[1]) > tonumber(record[2]) or redis.call('EXISTS', key('outbox:' .. id)) == 1)
      and not redis.call('ZSCORE', key('due'), 'deliver:' .. id) and not redis.call('ZSCORE', key('leased'), 'deliver:' .. id) then
    wake('deliver:' .. id, now)
    told(id .. ': had something to post that nothing would have posted')
  end
end
-- A head that nothing would post: of an end that is sealed.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('heads-wanted'), '-inf', redis.call('HGET', key('audit-state'), 'sealed') or '0')) do
  if is_gone(id) then
    redis.call('ZREM', key('heads-wanted'), id)
  elseif not redis.call('ZSCORE', key('due'), 'deliver:' .. id) and not redis.call('ZSCORE', key('leased'), 'deliver:' .. id) then
    wake('deliver:' .. id, now)
  end
end
for _, app in ipairs(redis.call('HKEYS', key('counter'))) do
  local newest = redis.call('XREVRANGE', key('audit:' .. app), '+', '-', 'COUNT', 1)[1]
  if newest and tonumber(string.match(newest[1], '^%d+')) < now - tonumber(ARGV[1]) then
    redis.call('DEL', key('audit:' .. app))
  end
end
return repairs
