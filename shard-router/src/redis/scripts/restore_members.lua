-- Writes some of a channel's presence.
-- KEYS: owner, members, expiry
-- ARGV: generation, token, 1 if what is there is dropped first, when the presence expires or '', then client, envelope
--       and expiry of each member
local expires = ARGV[4]
ask_for_room()
if ARGV[3] == '1' then
  redis.call('UNLINK', KEYS[2], KEYS[3])
end
for index = 5, #ARGV, 3 do
  redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1])
  redis.call('ZADD', KEYS[3], ARGV[index + 2], ARGV[index])
end
if expires ~= '' then
  for index = 2, 3 do
    redis.call('PEXPIREAT', KEYS[index], expires)
  end
end
return {1}
