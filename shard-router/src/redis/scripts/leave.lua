-- KEYS: owner, dirty, members, expiry
-- ARGV: client
if redis.call('HDEL', KEYS[3], ARGV[1]) == 1 then
  note(KEYS[3])
end
if redis.call('ZREM', KEYS[4], ARGV[1]) == 1 then
  note(KEYS[4])
end
return {1}
