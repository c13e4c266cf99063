-- ARGV: idle since when it may go ('' for at once). Lets go of terminal messages whose time is over, and of the channel
-- itself where it is idle. Gives {'gone', sessions} or {'there', touched}.
local at = now()
for _, name in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', int(at))) do
  redis.call('ZREM', KEPT, name)
  redis.call('HDEL', DATA, name)
  redis.call('ZREM', EXPIRY, name)
end
local found = redis.call('HMGET', META, 'touched', 'listener', 'running')
if not found[1] then return {'gone', {}} end
local idle = (found[2] or '') == '' and redis.call('ZCARD', TASKS) == 0
if not idle or (ARGV[1] ~= '' and tonumber(found[1]) + tonumber(ARGV[1]) > at) then return {'there', found[1]} end
local sessions = redis.call('ZRANGE', SESSIONS, 0, -1)
redis.call('DEL', META, LOG, KEPT, DATA, EXPIRY, TASKS, STARTS, SESSIONS)
return {'gone', sessions}
