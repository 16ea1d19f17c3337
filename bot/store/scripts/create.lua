-- ARGV: operation, dedup key, dedup ttl ms, same as, app, place (the app in its cluster), phase, document, event, audit line, its
-- SHA-256, the words beside it, retention ms, ms until the first tick
local operation, dedup, dedup_ttl, same_as, app, place = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local first = earlier_answer(operation)
if first then return {first, 1} end
if dedup ~= '' then
  local known = redis.call('GET', key('dedup:' .. dedup))
  if known and redis.call('EXISTS', release_key(known)) == 1 then return {known, 0} end
end
if same_as ~= '' then
  local running = redis.call('HGET', key('same'), same_as)
  if running and redis.call('EXISTS', release_key(running)) == 1 then
    if dedup ~= '' then redis.call('SET', key('dedup:' .. dedup), running, 'PX', dedup_ttl) end
    return {running, 0}
  end
end
-- A Redis that lost everything must not give a number again: claims in the clusters and cards in Slack
-- outlive it. So a new installation begins at the seconds since 2026, far beyond any number before.
local first = redis.call('GET', key('first_number'))
if not first then
  local is_older = redis.call('EXISTS', key('counter')) == 1
  first = whole(is_older and 0 or math.max(0, math.floor(now / 1000) - 1767225600))
  redis.call('SET', key('first_number'), first)
end
redis.call('HSETNX', key('counter'), app, first)
local id = app .. '-' .. whole(redis.call('HINCRBY', key('counter'), app, 1))
local order = redis.call('INCR', key('order'))
redis.call('HSET', release_key(id), 'document', ARGV[8], 'version', 1, 'phase', ARGV[7], 'app', app, 'place', place,
  'same_as', same_as,  'card_wanted', 1, 'card_shown', 0)
redis.call('ZADD', key('active'), order, id)
redis.call('ZADD', key('active:' .. app), order, id)
redis.call('ZADD', key('recent'), order, id)
redis.call('ZADD', key('recent:' .. app), order, id)
if dedup ~= '' then redis.call('SET', key('dedup:' .. dedup), id, 'PX', dedup_ttl) end
if same_as ~= '' then redis.call('HSET', key('same'), same_as, id) end
join_queue(id, app_lock(place))
append_outbox(id, ARGV[9])
append_audit(app, tonumber(ARGV[13]), ARGV[10], ARGV[11], ARGV[12], id)
remember_answer(operation, id)
wake('release:' .. id, whole(now + tonumber(ARGV[14])))
wake('deliver:' .. id, now)
return {id, 1}
