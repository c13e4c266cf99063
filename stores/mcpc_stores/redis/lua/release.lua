-- ARGV: prefix, task_id, token
if barred(ARGV[3]) then return nil end
queue(ARGV[1], ARGV[2])
return redis.call('HGET', TASK, 'tool')
