-- Deletes keys of a partition that is being filled.
-- KEYS: owner, then what to delete
-- ARGV: generation, token
for index = 2, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
return {1}
