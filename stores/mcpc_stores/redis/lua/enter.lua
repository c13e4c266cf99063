-- ARGV: prefix, task_id, tool, session, state, policy, max_attempts, has_arguments, arguments, interrupted, key or '', runner
-- or '', max_running, max_kept
local prefix, task_id, key, runner = ARGV[1], ARGV[2], ARGV[11], ARGV[12]
local found = redis.call('HMGET', META, 'principal', 'running', 'cursor', 'oldest')
if not found[1] then return {'absent'} end
if key ~= '' then
  local known = redis.call('HGET', STARTS, key)
  if known then return {'known', known} end
end
if redis.call('EXISTS', TASK) == 1 then return {'taken'} end
if tonumber(found[2]) >= tonumber(ARGV[13]) then return {'many', found[2]} end
if redis.call('ZCOUNT', KEPT, '(' .. found[3], '(' .. found[4]) >= tonumber(ARGV[14]) then return {'crowded'} end
local at, token = int(now()), runner == '' and '0' or '1'
redis.call('HSET', TASK, 'tool', ARGV[3], 'session', ARGV[4], 'principal', found[1], 'state', ARGV[5], 'policy', ARGV[6],
  'max', ARGV[7], 'interrupted', ARGV[10], 'key', key, 'runner', runner, 'token', token, 'attempt', token,
  'status', runner == '' and 'queued' or 'running', 'created', at, 'updated', at)
if ARGV[8] == '1' then redis.call('HSET', TASK, 'arguments', ARGV[9]) end
if key ~= '' then redis.call('HSET', STARTS, key, task_id) end
redis.call('ZADD', TASKS, int(redis.call('HINCRBY', META, 'entered', 1)), task_id)
redis.call('HINCRBY', META, 'running', 1)
redis.call('HSET', META, 'touched', at)
if runner == '' then ring(prefix, '', 't' .. task_id) end
return {'ok', token}
