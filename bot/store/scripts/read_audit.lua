-- ARGV: first id, how many. One text: of each entry its id, what is known of it, its line and the words beside it, each on a line of its
-- own. A client takes a text apart faster than a reply of many parts.
local parts = {}
local function add(text) parts[#parts + 1] = (string.gsub(text or '', '\n', ' ')) end
for _, entry in ipairs(redis.call('XRANGE', key('audit'), ARGV[1], '+', 'COUNT', ARGV[2])) do
  local fields = {}
  for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
  local number = string.match(fields['about'] or '', '^(%d+) ')
  add(entry[1])
  add(fields['about'])
  add(fields['line'])
  add(number and redis.call('HGET', key('audit-words'), number) or '')
end
return table.concat(parts, '\n')
