-- Stands before every data script. KEYS[1] is the partition's owner record, KEYS[2] the sorted set of what changed
-- while it migrates, each by the number of its last change. A script returns nothing at all where the partition is not
-- served.
local owner = redis.call('HMGET', KEYS[1], 's', 'f')
local migrating = owner[1] == 'migrating'
if owner[1] ~= 'open' and not migrating then
  return false
end
local floor = owner[2]

-- Numbers are doubles here: exact to 2^53, and printed without an exponent only on request.
local function text(number)
  return string.format('%d', number)
end

-- Names leave out what all keys of the partition begin with, which is what stands before "dirty".
local stem = #KEYS[2] - #'dirty'

-- Notes names of what was written, deleted or given another TTL.
local function note_names(names)
  local number = redis.call('HINCRBY', KEYS[1], 'd', #names) - #names
  local noted = {}
  for index, name in ipairs(names) do
    noted[2 * index - 1] = text(number + index)
    noted[2 * index] = name
  end
  redis.call('ZADD', KEYS[2], unpack(noted))
end

-- Notes a key.
local function note(key)
  if migrating then
    note_names({string.sub(key, stem + 1)})
  end
end

-- A full server refuses a script's first write or none, and only if that write needs memory. So each script that adds
-- something begins with a write that does.

-- Makes sure that a stream has a valid epoch. Returns the epoch and the top offset as text. `reads` is set where nothing
-- is going to be added: an epoch that takes another's place takes no memory, so a full server is not asked.
local function position(meta, stream, new_epoch, reads)
  local known = redis.call('HMGET', meta, 'e', 'o', 'f')
  if not known[1] then
    redis.call('HSET', meta, 'e', new_epoch, 'o', '0', 'f', floor)
    if redis.call('DEL', stream) == 1 then
      note(stream)
    end
    return new_epoch, '0'
  elseif known[3] ~= floor then
    if reads then
      redis.call('PERSIST', meta)
    end
    redis.call('HSET', meta, 'e', new_epoch, 'f', floor)
    return new_epoch, known[2]
  end
  return known[1], known[2]
end

-- Keeps a stream's position for `ttl` ms and never shorter than its content.
local function keep(meta, stream, ttl)
  redis.call('PEXPIRE', meta, math.max(tonumber(ttl), redis.call('PTTL', stream)))
  note(meta)
end

-- What subscribers receive: offset, length of the epoch, epoch, envelope. Offset 0: not of a stream.
local function send(topic, offset, epoch, envelope)
  redis.call('PUBLISH', topic, offset .. ' ' .. #epoch .. ' ' .. epoch .. envelope)
end
