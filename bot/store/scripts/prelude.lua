-- Precedes every script. KEYS[1] is the prefix of all keys, so that one installation is one slot.
-- Numbers that become keys, members or JSON go through whole(): Lua would write large ones with an exponent.
local prefix = KEYS[1]
local not_after = table.remove(ARGV, 1)
local function key(name) return prefix .. name end
local function whole(number) return string.format('%d', number) end
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local now = now_ms()
-- Its sender has told someone that it failed: it must not happen now that Redis comes to it.
if not_after ~= '' and now > tonumber(not_after) then return redis.error_reply('TOOLATE nobody waits for it any more') end

-- A re-sent script (its first reply was lost) does nothing and returns the first one's reply.
local OPERATION_TTL_MS = 600000
local function earlier_answer(operation) return redis.call('GET', key('operation:' .. operation)) end
local function remember_answer(operation, answer)
  redis.call('SET', key('operation:' .. operation), answer, 'PX', OPERATION_TTL_MS)
end

-- Waking touches only `due`: the earliest time wins. One element in `nudge` is enough to wake a blocked ticker.
local function nudge()
  if redis.call('LLEN', key('nudge')) == 0 then redis.call('RPUSH', key('nudge'), '1') end
end
local function wake(id, at)
  redis.call('ZADD', key('due'), 'LT', at, id)
  nudge()
end

-- Ends a lease, whether its job succeeded or failed.
local function end_lease(id)
  redis.call('ZREM', key('leased'), id)
  redis.call('HDEL', key('tokens'), id)
  redis.call('HDEL', key('begun'), id)
end
-- A job that keeps failing comes back after ever longer waits, at most a minute. `grace`: how many times it comes back at once.
local function comes_back(id, grace)
  redis.call('HINCRBY', key('counters'), 'jobs:' .. string.match(id, '^[^:]*') .. ':failed', 1)
  local failures = redis.call('HINCRBY', key('failures'), id, 1) - grace
  wake(id, now + (failures < 1 and 0 or math.min(60000, 500 * 2 ^ math.min(failures - 1, 10))))
end

local function release_key(id) return key('release:' .. id) end

local function append_outbox(id, event)
  local sequence = redis.call('HINCRBY', release_key(id), 'sequence', 1)
  redis.call('ZADD', key('outbox:' .. id), sequence, whole(sequence) .. ' ' .. event)
end
-- The audit. The number is given here, with the entry: what goes missing leaves a gap. Redis knows no SHA-256, so `sha` is its sender's.
-- Nothing trims the stream but the sealer, which gives the first id to keep; `audit:<app>` only points into it.
local function append_audit(app, retention_ms, line, sha, words, id, count, keep_from)
  local number = whole(redis.call('HINCRBY', key('audit-state'), 'number', 1))
  local about = number .. ' ' .. sha .. ' ' .. (count or '1') .. ' ' .. (id or '')
  local fields = {'*', 'about', about, 'line', line}
  local at
  if keep_from then
    at = redis.call('XADD', key('audit'), 'MINID', '=', keep_from, unpack(fields))
  else
    at = redis.call('XADD', key('audit'), unpack(fields))
  end
  if words ~= '' then redis.call('HSET', key('audit-words'), number, words) end
  if app ~= '' then redis.call('XADD', key('audit:' .. app), 'MINID', '~', whole(now - retention_ms), '*', 'at', at) end
  return number
end

-- Locks. `lock-owner` maps a lock key to the release that holds it; `lock-queue:<key>` holds the releases that wait for it, by ticket.
-- A release draws one ticket when it is accepted and joins its app's queue at once, whichever job runs first. It takes all the keys
-- that it asks for or none, and the oldest ticket is first in every queue: no deadlock and no overtaking.
local function app_lock(place) return 'app/' .. place end
local function ticket_of(id)
  local ticket = redis.call('HGET', release_key(id), 'ticket')
  if not ticket then
    ticket = whole(redis.call('INCR', key('ticket')))
    redis.call('HSET', release_key(id), 'ticket', ticket)
  end
  return ticket
end
local function join_queue(id, lock)
  redis.call('SADD', key('locks-of:' .. id), lock)
  if redis.call('HGET', key('lock-owner'), lock) ~= id then
    redis.call('ZADD', key('lock-queue:' .. lock), 'NX', ticket_of(id), id)
  end
end
local function is_free_for(lock, id)
  local owner = redis.call('HGET', key('lock-owner'), lock)
  if owner and owner ~= id then return false end
  local first = redis.call('ZRANGE', key('lock-queue:' .. lock), 0, 0)[1]
  return owner == id or not first or first == id
end
local function take_all_or_none(id, locks)
  for _, lock in ipairs(locks) do
    if not is_free_for(lock, id) then return false end
  end
  for _, lock in ipairs(locks) do
    redis.call('HSET', key('lock-owner'), lock, id)
    redis.call('ZREM', key('lock-queue:' .. lock), id)
    redis.call('SADD', key('locks-of:' .. id), lock)
  end
  return true
end
local function hand_over(locks)
  for _, lock in ipairs(locks) do
    local first = redis.call('ZRANGE', key('lock-queue:' .. lock), 0, 0)[1]
    if first and take_all_or_none(first, redis.call('SMEMBERS', key('locks-of:' .. first))) then
      wake('release:' .. first, now)
    end
  end
end
local function free_locks(id)
  local locks = redis.call('SMEMBERS', key('locks-of:' .. id))
  for _, lock in ipairs(locks) do
    if redis.call('HGET', key('lock-owner'), lock) == id then redis.call('HDEL', key('lock-owner'), lock) end
    redis.call('ZREM', key('lock-queue:' .. lock), id)
  end
  redis.call('DEL', key('locks-of:' .. id))
  hand_over(locks)
  return #locks
end

local function forget(id, app)
  redis.call('DEL', release_key(id), key('outbox:' .. id))
  redis.call('ZREM', key('recent'), id)
  redis.call('ZREM', key('recent:' .. app), id)
  redis.call('ZREM', key('final:' .. app), id)
  redis.call('ZREM', key('named'), id)
end
