-- What changed in a partition while it migrates.
-- KEYS: owner, dirty
-- ARGV: generation, the number of the last change that is known, how many names at most
-- Returns names and numbers in turn; nothing at all unless the partition is migrating or sealed at that generation.
local record = redis.call('HMGET', KEYS[1], 'g', 's')
if record[1] ~= ARGV[1] or (record[2] ~= 'migrating' and record[2] ~= 'sealed') then
  return false
end
return redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
