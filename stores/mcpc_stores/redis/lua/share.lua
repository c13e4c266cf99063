-- KEYS: the open tasks of a principal. ARGV: one, how many there may be.
-- Gives 1, 0 where it was there already, or -1 where there are as many as may be.
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 0 end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return -1 end
return redis.call('SADD', KEYS[1], ARGV[1])
