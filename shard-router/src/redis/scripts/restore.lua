-- Writes keys as they were dumped.
-- KEYS: owner, then the keys
-- ARGV: generation, token, when they expire or '', then a dump for each key
local expires = ARGV[3] == '' and '0' or ARGV[3]
for index = 2, #KEYS do
  redis.call('RESTORE', KEYS[index], expires, ARGV[index + 2], 'REPLACE', 'ABSTTL')
end
return {1}
