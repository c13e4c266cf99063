-- ARGV: principal, epoch for a new one, may it be made, session or '', listener or '', after, epoch of `after`,
-- max_sessions, prefix, channel
local principal, fresh, make, session, listener = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local found = redis.call('HMGET', META, 'principal', 'epoch', 'listener')
local is_new = 0
if not found[2] then
  if make ~= '1' then return {'absent'} end
  redis.call('HSET', META, 'principal', principal, 'epoch', fresh, 'head', '0', 'oldest', '1', 'floor', '1',
    'size', '0', 'cursor', '0', 'running', '0')
  found, is_new = {principal, fresh, ''}, 1
end
if found[1] ~= principal then return {'foreign'} end
local after = tonumber(ARGV[6])
if ARGV[7] == found[2] then jump(after) end
local head = number(META, 'head')
if after > head then after = head end
if after > number(META, 'cursor') then redis.call('HSET', META, 'cursor', int(after)) end
redis.call('HSET', META, 'touched', int(now()))
if listener ~= '' then
  redis.call('HSET', META, 'listener', listener)
  -- Who listened before looks, and finds that another has taken the place.
  if found[3] and found[3] ~= '' and found[3] ~= listener then ring(ARGV[9], found[3], 'c' .. ARGV[10]) end
end
local gone = {}
if session ~= '' then
  redis.call('ZADD', SESSIONS, 'NX', int(redis.call('HINCRBY', META, 'labelled', 1)), session)
  local over = redis.call('ZCARD', SESSIONS) - tonumber(ARGV[8])
  if over > 0 then gone = redis.call('ZPOPMIN', SESSIONS, over) end
end
return {'ok', found[2], int(number(META, 'oldest')), int(head), int(number(META, 'cursor')), is_new, gone}
