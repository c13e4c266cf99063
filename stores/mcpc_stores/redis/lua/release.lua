-- ARGV: prefix, task_id, token, what it is from now on: 'queued' or 'handed'. Gives the tool in whose queue it belongs.
if barred(ARGV[3]) then return nil end
queue(ARGV[1], ARGV[2])
if ARGV[4] == 'queued' then return redis.call('HGET', TASK, 'tool') end
redis.call('HSET', TASK, 'status', ARGV[4])
return nil
