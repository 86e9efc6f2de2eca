-- Notes an admission.
-- KEYS: the notes of generation and deployment
-- ARGV: generation, deployment

-- A first write that takes no memory makes the later ones allowed: a shard that restarts full must be admitted too.
redis.call('PERSIST', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return {1}
