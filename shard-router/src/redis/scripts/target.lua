-- Stands before what changes a partition that is being filled: it must be, at the generation ARGV[1] and by the holder of
-- the token ARGV[2]. A script answers {0} where it is not, and does nothing.
local record = redis.call('HMGET', KEYS[1], 'g', 's', 't')
if record[1] ~= ARGV[1] or record[2] ~= 'importing' or record[3] ~= ARGV[2] then
  return {0}
end

-- Asks a full server, which refuses the first write that needs memory and only that: this one, before others delete.
local function ask_for_room()
  redis.call('HSET', KEYS[1], 't', ARGV[2])
end
