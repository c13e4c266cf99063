-- KEYS: a tool's queue. ARGV: a task, how many may wait ('' for any number).
-- Puts it in the queue, behind those that wait; one that waits keeps its place. Gives 1, 0 where it waited already, or -1
-- where there are as many as may be.
local most = ARGV[2] or ''
if most ~= '' and redis.call('ZCARD', KEYS[1]) >= tonumber(most) and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return -1
end
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', t[1] * 1000000 + t[2]), ARGV[1])
