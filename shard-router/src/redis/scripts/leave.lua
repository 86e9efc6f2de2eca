-- KEYS: owner, dirty, members, expiry
-- ARGV: client
local gone = redis.call('HDEL', KEYS[3], ARGV[1]) + redis.call('ZREM', KEYS[4], ARGV[1])
if gone > 0 then
  note_members(KEYS[3], {ARGV[1]})
end
return {1}
