-- ARGV: prefix, task_id, kind, value, has_value, prompt or '', max_inputs

-- Who gives the numbers: a server that was started again, or a copy that was promoted, is another one. What the one before
-- gave last may be lost there, and yet have been heard: beyond so many no number is given twice.
local LEAP = 1048576
local function giver()
  local about = {}
  for _, section in ipairs({'server', 'replication'}) do
    local text = redis.pcall('INFO', section)
    if type(text) == 'string' then
      about[#about + 1] = string.match(text, 'run_id:(%x+)') or string.match(text, 'master_replid:(%x+)')
    end
  end
  return table.concat(about, ' ')
end

local prefix, task_id, kind, prompt = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local found = redis.call('HMGET', TASK, 'status', 'signalled', 'stopped', 'runner', 'waiting', 'read', 'giver')
if not found[1] then return {'unknown'} end
local signalled = tonumber(found[2] or '0')
if found[1] == 'complete' or found[1] == 'failed' then
  if kind == 'stop' then return {'ok', int(signalled)} end
  return {'ended', found[1]}
end
if kind == 'stop' and found[3] then return {'ok', int(signalled)} end
if prompt ~= '' and redis.call('HEXISTS', TASK, 'p:' .. prompt) == 1 then return {'answered'} end
local limit = tonumber(ARGV[7])
if kind == 'input' and tonumber(found[5] or '0') >= limit then return {'many'} end
local own = giver()
if found[7] and found[7] ~= own then signalled = signalled + LEAP end
signalled = signalled + 1
redis.call('HSET', TASK, 'signalled', int(signalled), 'giver', own)
redis.call('XADD', SIGNALS, int(signalled) .. '-0', 'kind', kind, 'value', ARGV[5] .. ARGV[4], 'prompt', prompt)
if kind == 'stop' then redis.call('HSET', TASK, 'stopped', '1') end
if kind == 'input' then redis.call('HINCRBY', TASK, 'waiting', 1) end
if prompt ~= '' then redis.call('HSET', TASK, 'p:' .. prompt, '1') end
-- Inputs that were taken and are covered by no checkpoint are kept for a worker that runs again, up to a bound.
if redis.call('XLEN', SIGNALS) > 3 * limit then
  local read = tonumber(found[6] or '0')
  for _, each in ipairs(redis.call('XRANGE', SIGNALS, '-', int(read) .. '-0', 'COUNT', limit)) do
    if each[2][2] == 'input' then redis.call('XDEL', SIGNALS, each[1]) end
  end
end
if found[4] and found[4] ~= '' then ring(prefix, found[4], 's' .. task_id) end
return {'ok', int(signalled)}
