-- ARGV: runner, may it be one that was handed off
local status = redis.call('HGET', TASK, 'status')
if status ~= 'queued' and not (status == 'handed' and ARGV[2] == '1') then return nil end
redis.call('HSET', TASK, 'status', 'running', 'runner', ARGV[1], 'updated', int(now()))
redis.call('HINCRBY', TASK, 'attempt', 1)
redis.call('HINCRBY', TASK, 'token', 1)
-- Inputs that came after the checkpoint come again, so they wait again.
local taken, waiting = number(TASK, 'taken'), 0
for _, each in ipairs(redis.call('XRANGE', SIGNALS, int(taken + 1) .. '-0', '+')) do
  if each[2][2] == 'input' then waiting = waiting + 1 end
end
redis.call('HSET', TASK, 'read', int(taken), 'waiting', int(waiting))
return redis.call('HGETALL', TASK)
