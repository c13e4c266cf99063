-- ARGV: task_id, whether its time must be over. Forgets an ended task; 1 if it is gone.
local found = redis.call('HMGET', TASK, 'status', 'expires', 'key')
if found[1] then
  if found[1] ~= 'complete' and found[1] ~= 'failed' then return 0 end
  if ARGV[2] == '1' and tonumber(found[2]) > now() then return 0 end
  if found[3] ~= '' and redis.call('HGET', STARTS, found[3]) == ARGV[1] then redis.call('HDEL', STARTS, found[3]) end
end
redis.call('DEL', TASK, SIGNALS)
redis.call('ZREM', TASKS, ARGV[1])
return 1
