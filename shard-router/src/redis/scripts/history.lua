-- KEYS: owner, dirty, stream, meta
-- ARGV: the position's TTL, new epoch, XRANGE or XREVRANGE, its two ends, how many ('' all, 0 the position alone)
local epoch, offset = position(KEYS[4], KEYS[3], ARGV[2], true)
keep(KEYS[4], KEYS[3], ARGV[1])
local entries = {}
if ARGV[6] == '' then
  entries = redis.call(ARGV[3], KEYS[3], ARGV[4], ARGV[5])
elseif ARGV[6] ~= '0' then
  entries = redis.call(ARGV[3], KEYS[3], ARGV[4], ARGV[5], 'COUNT', ARGV[6])
end
return {tonumber(offset), epoch, entries}
