-- KEYS: runners. ARGV: a runner. Forgets it, unless it has come back to life.
local t = redis.call('TIME')
local known = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if known > t[1] * 1000 + math.floor(t[2] / 1000) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
