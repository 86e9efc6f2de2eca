-- Removes a client from a channel's presence.
-- KEYS: owner, members, expiry
-- ARGV: generation, token, client
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[3])
return {1}
