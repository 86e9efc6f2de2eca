-- KEYS: owner, dirty, members, expiry
-- ARGV: client, its envelope, TTL
local time, ttl = now(), tonumber(ARGV[3])

local function lengthen(key)
  redis.call('PEXPIRE', key, math.max(ttl, redis.call('PTTL', KEYS[3])))
end

-- Whoever is there already takes no more memory, and must not vanish from a full server: a first write that takes none
-- makes the later ones allowed.
local known = redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1
if known then
  lengthen(KEYS[3])
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[4], text(time + ttl), ARGV[1])
expire(KEYS[3], KEYS[4], text(time))
if not known then
  lengthen(KEYS[3])
end
lengthen(KEYS[4])
note_members(KEYS[3], {ARGV[1]})
return {1}
