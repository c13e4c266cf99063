-- ARGV: listener, cursor
if redis.call('HGET', META, 'listener') ~= ARGV[1] then return 0 end
local cursor = math.min(tonumber(ARGV[2]), number(META, 'head'))
if cursor > number(META, 'cursor') then redis.call('HSET', META, 'cursor', int(cursor)) end
redis.call('HSET', META, 'touched', int(now()))
return 1
