-- ARGV: operation, id, expected version, phase, is final, document, mark card, wake, retention ms, releases
--       kept, number of events, then for each event: event ('' for the audit alone), audit line ('' for none), its SHA-256, the words
--       beside it, then pairs of a counter and what its end adds to it
local operation, id, expected, phase, final = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local first = earlier_answer(operation)
if first then return tonumber(first) end
local record = release_key(id)
local found = redis.call('HMGET', record, 'version', 'app', 'same_as', 'phase_final')
if not found[1] then return -1 end
if tonumber(found[1]) ~= expected then return -2 end
local version, app, same_as, was_final = expected + 1, found[2], found[3], found[4] == '1'
redis.call('HSET', record, 'document', ARGV[6], 'version', version, 'phase', phase)
if ARGV[7] == '1' then redis.call('HSET', record, 'card_wanted', version) end
local retention_ms, kept, events = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local told, entry = 0, 0
for at = 12, 11 + 4 * events, 4 do
  if ARGV[at] ~= '' then append_outbox(id, ARGV[at]) end
  if ARGV[at] ~= '' then told = told + 1 end
  if ARGV[at + 1] ~= '' then entry = append_audit(app, retention_ms, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], id) end
end
-- While a card waits for its edit, a change without an event does not wake delivery early; an event to announce does so at once.
local told_at = now
-- A booking by a clock that was set back since counts no more.
if told == 0 and not final then
  local booked = redis.call('HMGET', record, 'card_booked', 'card_booked_at')
  if now >= tonumber(booked[2] or '0') then told_at = math.max(now, tonumber(booked[1] or '0')) end
end
if ARGV[7] == '1' or told > 0 then wake('deliver:' .. id, told_at) end
if final and not was_final then
  redis.call('HSET', record, 'phase_final', '1')
  redis.call('ZADD', key('heads-wanted'), entry, id)
  for index = 12 + 4 * events, #ARGV, 2 do redis.call('HINCRBY', key('counters'), ARGV[index], ARGV[index + 1]) end
  redis.call('ZADD', key('named'), now, id)
  redis.call('ZREM', key('active'), id)
  redis.call('ZREM', key('active:' .. app), id)
  redis.call('ZREM', key('due'), 'release:' .. id)
  if same_as ~= '' and redis.call('HGET', key('same'), same_as) == id then redis.call('HDEL', key('same'), same_as) end
  free_locks(id)
  redis.call('ZADD', key('final:' .. app), redis.call('ZSCORE', key('recent:' .. app), id) or 0, id)
  -- Only fully announced releases are forgotten: a record with a non-empty outbox stays.
  local surplus = redis.call('ZCARD', key('final:' .. app)) - kept
  if surplus > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', key('final:' .. app), 0, surplus - 1)) do
      if oldest ~= id and redis.call('EXISTS', key('outbox:' .. oldest)) == 0 then forget(oldest, app) end
    end
  end
elseif not final and ARGV[8] == '1' then
  wake('release:' .. id, now)
elseif not final and not redis.call('ZSCORE', key('leased'), 'release:' .. id) then
  -- A tick that lost its lease: nothing else may know that the release has work left.
  redis.call('ZADD', key('due'), 'LT', now + 1000, 'release:' .. id)
end
remember_answer(operation, whole(version))
return version
