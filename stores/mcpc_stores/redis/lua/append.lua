-- ARGV: see `append_args` in log.py
local prefix, channel, task_id = ARGV[1], ARGV[2], ARGV[3]
local writer, seq, known, token = 'w:' .. ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local count, stored, data, last = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]
local has_state, state, status = ARGV[12], ARGV[13], ARGV[14]
local has_checkpoint, checkpoint, taken = ARGV[15], ARGV[16], tonumber(ARGV[17])
local max_messages, max_bytes, max_kept, ttl = tonumber(ARGV[18]), tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21])
local own, most_in_a_bell = ARGV[22], tonumber(ARGV[23])

local found = redis.call('HMGET', META, 'epoch', writer, 'cursor', 'listener')
if not found[1] then return {'R', 'there is no such channel in the store'} end
local cursor, listener = found[3], found[4] or ''
local listening = listener ~= '' and 1 or 0
if found[2] then
  local known_seq, known_first = string.match(found[2], '^(%d+) (%d+)$')
  if tonumber(known_seq) == seq then return {'A', known_first, cursor, listening} end
  if tonumber(known_seq) + 1 ~= seq then
    return {'R', 'entry ' .. int(seq) .. ' is not the next of its writer after ' .. known_seq, known_seq}
  end
elseif seq ~= 1 then
  return {'R', 'entry ' .. int(seq) .. ' is not the next of its writer after 0', '0'}
end
if token ~= '' then
  local why = barred(token)
  if why then return {why} end
end
jump(known)
local first = add(count, stored, data, max_messages, max_bytes)
redis.call('HSET', META, writer, int(seq) .. ' ' .. int(first))
local says_more = status ~= '' or has_state == '1' or has_checkpoint == '1'
-- A task's worker learns what has landed by the receipt, and so does a listener in the same process.
local is_told = token ~= '' and listening == 1 and string.find(own, ' ' .. listener .. ' ', 1, true) ~= nil
if listening == 1 and not is_told then
  if count > 0 then
    -- The id of a task may hold anything, so its length comes before it.
    local changed = says_more and task_id or ''
    local bell = 'c' .. channel .. ' ' .. int(first + count - 1) .. ' ' .. #changed .. '\n' .. changed
    -- What a bell brings need not be read.
    if stored == count and #data <= most_in_a_bell then bell = bell .. data end
    ring(prefix, listener, bell)
  elseif says_more then
    ring(prefix, listener, 't' .. task_id)
  else
    ring(prefix, listener, 'c' .. channel) -- the writer waits for word of how far the listener is
  end
elseif says_more and not is_told then
  ring(prefix, '', 't' .. task_id)
end
if token ~= '' then
  if status ~= '' then
    finish(status, count > 0 and last or '', has_state == '1' and state or redis.call('HGET', TASK, 'state'), ttl, max_kept)
  else
    local read = number(TASK, 'read')
    if taken > read then
      local inputs = 0
      for _, each in ipairs(redis.call('XRANGE', SIGNALS, int(read + 1) .. '-0', int(taken) .. '-0')) do
        if each[2][2] == 'input' then inputs = inputs + 1 end
      end
      read = taken
      redis.call('HSET', TASK, 'read', int(read))
      redis.call('HINCRBY', TASK, 'waiting', -inputs)
    end
    if has_state == '1' then redis.call('HSET', TASK, 'state', state) end
    if has_checkpoint == '1' then
      redis.call('HSET', TASK, 'checkpoint', checkpoint, 'taken', int(read))
      for _, each in ipairs(redis.call('XRANGE', SIGNALS, '-', int(read) .. '-0')) do
        if each[2][6] == '' then redis.call('XDEL', SIGNALS, each[1]) end
      end
    end
    if has_state == '1' or has_checkpoint == '1' then touch_task() end
  end
end
return {'A', int(first), cursor, listening}
