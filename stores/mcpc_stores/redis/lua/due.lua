-- KEYS: ended. ARGV: how many may stay. The members whose time is over, and the first ended of those over the bound.
local t = redis.call('TIME')
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'LIMIT', 0, 1000)
local over = redis.call('ZCARD', KEYS[1]) - #due - tonumber(ARGV[1])
local more = {}
if over > 0 then more = redis.call('ZRANGE', KEYS[1], #due, #due + math.min(over, 1000) - 1) end
return {due, more}
