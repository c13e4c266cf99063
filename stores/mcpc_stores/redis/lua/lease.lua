-- KEYS: runners. ARGV: runner, milliseconds, whether only one without a lease gets it.
local t = redis.call('TIME')
local at = t[1] * 1000 + math.floor(t[2] / 1000)
local known = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if ARGV[3] == '1' and known > at then return 0 end
local until_ = at + tonumber(ARGV[2])
if until_ > known then redis.call('ZADD', KEYS[1], string.format('%.0f', until_), ARGV[1]) end
return 1
