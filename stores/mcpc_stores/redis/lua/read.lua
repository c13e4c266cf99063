-- ARGV: after, max_messages, max_bytes. Gives oldest, head, and either a message set aside or entries of the log.
local after, max_messages, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local found = redis.call('HMGET', META, 'oldest', 'head', 'floor')
if not found[1] then return {} end
local floor, at = tonumber(found[3]), now()
local entries, first, from = {}, nil, int(math.max(after + 1, floor)) .. '-0'
local messages, bytes, expected = 0, 0, nil
while messages < max_messages and (bytes < max_bytes or messages == 0) do
  local each = redis.call('XRANGE', LOG, from, '+', 'COUNT', 1)[1]
  if not each then break end
  local last = tonumber(string.match(each[1], '^%d+'))
  local begins = math.max(last - tonumber(each[2][2]) + 1, after + 1, floor)
  if expected and begins ~= expected then break end
  if not first then first = begins end
  entries[#entries + 1] = {int(last), each[2][4]}
  messages, bytes, expected = messages + last - begins + 1, bytes + #each[2][4], last + 1
  from = int(last + 1) .. '-0'
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEPT, '(' .. int(after), first and '(' .. int(first) or '+inf')) do
  if tonumber(redis.call('ZSCORE', EXPIRY, name) or '0') > at then
    return {found[1], found[2], 'kept', name, redis.call('HGET', DATA, name)}
  end
end
if not first then return {} end
return {found[1], found[2], 'log', int(first), entries}
