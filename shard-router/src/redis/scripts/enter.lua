-- KEYS: owner, dirty, members, expiry
-- ARGV: client, its envelope, TTL
local time, ttl = now(), tonumber(ARGV[3])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[4], text(time + ttl), ARGV[1])
expire(KEYS[3], KEYS[4], text(time))
local keep = math.max(ttl, redis.call('PTTL', KEYS[3]))
redis.call('PEXPIRE', KEYS[3], keep)
redis.call('PEXPIRE', KEYS[4], keep)
note_members(KEYS[3], {ARGV[1]})
return {1}
