-- KEYS: owner, dirty, stream, meta
-- ARGV: the position's TTL, new epoch
local epoch, offset = position(KEYS[4], KEYS[3], ARGV[2], true)
keep(KEYS[4], KEYS[3], ARGV[1])
return {tonumber(offset), epoch}
