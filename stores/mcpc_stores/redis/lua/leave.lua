-- ARGV: listener
if redis.call('HGET', META, 'listener') ~= ARGV[1] then return 0 end
redis.call('HSET', META, 'listener', '', 'touched', int(now()))
return 1
