-- Deletes keys of a partition that is being filled, as long as it is this coordinator that fills it.
-- KEYS: owner, then what to delete
-- ARGV: generation, token
local record = redis.call('HMGET', KEYS[1], 'g', 's', 't')
if record[1] ~= ARGV[1] or record[2] ~= 'importing' or record[3] ~= ARGV[2] then
  return {0}
end
for index = 2, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
return {1}
