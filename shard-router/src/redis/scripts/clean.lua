-- Deletes keys of a partition that was closed for good no later than it is meant to have been.
-- KEYS: owner, then what to delete
-- ARGV: generation
local record = redis.call('HMGET', KEYS[1], 'g', 's')
if record[2] ~= 'sealed' or tonumber(record[1]) > tonumber(ARGV[1]) then
  return {0}
end
for index = 2, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
return {1}
