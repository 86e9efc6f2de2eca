-- Writes some of a stream.
-- KEYS: owner, stream
-- ARGV: generation, token, the offset that it continues or '' (what is there is dropped first), how many entries the
--       stream has if this is its end or '', when it expires or '', then offset and envelope of each entry
-- Refuses what does not continue what is there.
local stream, after, length, expires = KEYS[2], ARGV[3], ARGV[4], ARGV[5]
ask_for_room()
local last = 0
if after == '' then
  redis.call('UNLINK', stream)
else
  local entry = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  last = entry and tonumber(string.match(entry[1], '^%d+')) or 0
  if last < tonumber(after) then
    return {0}
  end
end
for index = 6, #ARGV, 2 do
  -- An earlier attempt may have written some of them.
  if tonumber(ARGV[index]) > last then
    redis.call('XADD', stream, ARGV[index] .. '-0', 'p', ARGV[index + 1])
  end
end
-- A copy that is not complete does not expire: what continues it would leave a gap.
redis.call('PERSIST', stream)
if length ~= '' then
  redis.call('XTRIM', stream, 'MAXLEN', length)
  if expires ~= '' then
    redis.call('PEXPIREAT', stream, expires)
  end
end
return {1}
