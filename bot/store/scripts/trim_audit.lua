-- ARGV: number of the checkpoint, number of the new one, its head, first id to keep, retention ms, line, its SHA-256. The entries up to
-- the new checkpoint go, with the words beside them, and an entry says so. 0: another sealer was faster.
local state = redis.call('HMGET', key('audit-state'), 'checkpoint', 'sealed')
local first, last = tonumber(ARGV[1]), tonumber(ARGV[2])
if tonumber(state[1] or '0') ~= first or last > tonumber(state[2] or '0') then return 0 end
redis.call('HSET', key('audit-state'), 'checkpoint', ARGV[2], 'checkpoint_head', ARGV[3])
append_audit('', tonumber(ARGV[5]), ARGV[6], ARGV[7], '', '', '1', ARGV[4])
for number = first + 1, last do redis.call('HDEL', key('audit-words'), whole(number)) end
return 1
