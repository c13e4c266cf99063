-- ARGV: token, after
if barred(ARGV[1]) then return {} end
return redis.call('XRANGE', SIGNALS, int(tonumber(ARGV[2]) + 1) .. '-0', '+')
