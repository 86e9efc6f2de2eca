-- KEYS: owner, dirty, members, expiry
expire(KEYS[3], KEYS[4], text(now()))
return redis.call('HGETALL', KEYS[3])
