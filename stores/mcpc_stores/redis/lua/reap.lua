-- ARGV: prefix, task_id, channel, the runner that is gone, max_messages, max_bytes, max_kept, ttl
-- Gives {'ended', members…}, or nothing.
local prefix, task_id, channel = ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('HMGET', TASK, 'status', 'runner', 'policy', 'max', 'interrupted', 'state')
if found[1] ~= 'running' or found[2] ~= ARGV[4] then return {} end
local times = redis.call('HINCRBY', TASK, 'interruptions', 1)
if found[3] ~= 'fail' and times < tonumber(found[4]) then
  queue(prefix, task_id)
  return {}
end
local listener, message = redis.call('HGET', META, 'listener') or '', found[5] or ''
if message ~= '' then
  add(1, 1, message, tonumber(ARGV[5]), tonumber(ARGV[6]))
  if listener ~= '' then ring(prefix, listener, 'c' .. channel) end
end
finish('failed', message, found[6], tonumber(ARGV[8]), tonumber(ARGV[7]))
redis.call('HSET', TASK, 'reaped', '1')
redis.call('HINCRBY', TASK, 'token', 1)
ring(prefix, listener, 't' .. task_id)
return {'ended', redis.call('HGETALL', TASK)}
