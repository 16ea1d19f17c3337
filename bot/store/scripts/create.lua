-- ARGV: operation, dedup key, dedup ttl ms, same as, app, phase, document, event, audit line without its end, retention ms
local operation, dedup, dedup_ttl, same_as, app = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
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
local id = app .. '-' .. whole(redis.call('HINCRBY', key('counter'), app, 1))
local order = redis.call('INCR', key('order'))
redis.call('HSET', release_key(id), 'document', ARGV[7], 'version', 1, 'phase', ARGV[6], 'app', app, 'same_as', same_as,
  'card_wanted', 1, 'card_shown', 0)
redis.call('ZADD', key('active'), order, id)
redis.call('ZADD', key('active:' .. app), order, id)
redis.call('ZADD', key('recent'), order, id)
redis.call('ZADD', key('recent:' .. app), order, id)
if dedup ~= '' then redis.call('SET', key('dedup:' .. dedup), id, 'PX', dedup_ttl) end
if same_as ~= '' then redis.call('HSET', key('same'), same_as, id) end
join_queue(id, app_lock(app))
append_outbox(id, ARGV[8])
local line = cjson.decode(ARGV[9])
line['release_id'] = id
append_audit(app, tonumber(ARGV[10]), cjson.encode(line))
remember_answer(operation, id)
wake('release:' .. id, now)
wake('deliver:' .. id, now)
return {id, 1}
