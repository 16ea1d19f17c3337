-- Moves due wakes to `leased`. ARGV: nonce, lease ms, limit, operation, and for each unclear wake id the token of the foremost job in its
-- queue as JSON ('' for an empty queue), or 'unknown'. Returns {now, ms until the next, how many are unclear, their ids..., id, token,
-- id, token...}.
-- A lease that ran out is taken over: with a new token when its job had begun (it may still run, and then exits when it next
-- checks the token), with the same one when it had not and has left its queue (whichever copy begins first runs). While it still waits in
-- a long queue, its lease is extended: a second copy would only make the queue longer. Queues are first in, first out, and tokens are
-- numbered: a job with a lower number than the foremost one has left the queue. With 'unknown', and for ids that were not
-- asked about, such leases are only listed.
local lease_ms, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local first = earlier_answer(ARGV[4])
if first then return cjson.decode(first) end
local foremost = ARGV[5] ~= 'unknown' and cjson.decode(ARGV[5])
local unclear, claims = {}, {}
local function grant(id, token)
  redis.call('ZADD', key('leased'), now + lease_ms, id)
  redis.call('HSET', key('tokens'), id, token)
  claims[#claims + 1] = id
  claims[#claims + 1] = token
end
local function number(token) return tonumber(string.match(token, '%d+$')) end
local function waits(id, token)
  local next_one = foremost[id]
  return next_one ~= '' and number(next_one) <= number(token)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leased'), '-inf', now, 'LIMIT', 0, limit)) do
  local token = redis.call('HGET', key('tokens'), id)
  local begun = redis.call('HEXISTS', key('begun'), id) == 1
  if token and not begun and not (foremost and foremost[id]) then
    unclear[#unclear + 1] = id
  elseif token and not begun and waits(id, token) then
    redis.call('ZADD', key('leased'), now + lease_ms, id)
  else
    if begun or not token then
      token = ARGV[1] .. '-' .. whole(redis.call('INCR', key('lease')))
      if redis.call('HDEL', key('begun'), id) == 1 then redis.call('HINCRBY', key('counters'), 'leases_taken_over', 1) end
    end
    redis.call('ZREM', key('due'), id)
    grant(id, token)
  end
end
local later = nil
local offset = 0
while #claims < 2 * limit do
  local id = redis.call('ZRANGEBYSCORE', key('due'), '-inf', now, 'LIMIT', offset, 1)[1]
  if not id then break end
  if redis.call('ZSCORE', key('leased'), id) then
    offset = offset + 1  -- honoured when its job finishes
  else
    redis.call('ZREM', key('due'), id)
    grant(id, ARGV[1] .. '-' .. whole(redis.call('INCR', key('lease'))))
  end
end
local function sooner(entry)
  if entry[2] then
    local wait = math.max(0, tonumber(entry[2]) - now)
    if not later or wait < later then later = wait end
  end
end
sooner(redis.call('ZRANGEBYSCORE', key('due'), '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1))
sooner(redis.call('ZRANGE', key('leased'), 0, 0, 'WITHSCORES'))
local answer = {whole(now), later and whole(later) or '-1', whole(#unclear)}
for _, id in ipairs(unclear) do answer[#answer + 1] = id end
for _, value in ipairs(claims) do answer[#answer + 1] = value end
if #claims > 0 then redis.call('SET', key('operation:' .. ARGV[4]), cjson.encode(answer), 'PX', lease_ms + 1) end
return answer
