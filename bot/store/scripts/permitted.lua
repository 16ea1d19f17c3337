-- ARGV: calls, each a command and its arguments between spaces. Returns those that this user may not send; nothing where Redis
-- cannot say (before 7.0). A call needs all its arguments: a server that looks for keys among too few of them may crash.
if not redis.acl_check_cmd then return false end
local denied = {}
for _, call in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(call, '%S+') do words[#words + 1] = word end
  local is_known, may_send = pcall(redis.acl_check_cmd, unpack(words))
  if is_known and not may_send then denied[#denied + 1] = call end
end
return denied
