-- KEYS: a tool's queue. ARGV: a task. Puts it in the queue, behind those that wait; one that waits keeps its place.
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', t[1] * 1000000 + t[2]), ARGV[1])
