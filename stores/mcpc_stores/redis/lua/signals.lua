-- ARGV: token, after
if barred(ARGV[1]) then return {} end
-- The newest were lost: numbers that its holder has heard name nothing else.
if tonumber(ARGV[2]) > number(TASK, 'signalled') then redis.call('HSET', TASK, 'signalled', int(tonumber(ARGV[2]))) end
return redis.call('XRANGE', SIGNALS, int(tonumber(ARGV[2]) + 1) .. '-0', '+')
