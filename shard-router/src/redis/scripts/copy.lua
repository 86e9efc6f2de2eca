-- Reads what is to be copied, item by item, until the call has read enough to have kept the server busy for a while.
-- KEYS: for each item the partition's owner, the key, and the one that belongs to it (a stream's meta, a presence's
--       expiry; otherwise the key again)
-- ARGV: generation, how much to read, then for each item its kind and three words:
--       key       nothing
--       stream    the last offset copied or '', its epoch, the time after which that copy would expire or ''
--       presence  where a walk over it goes on ('0': at its beginning)
--       member    the client
-- Returns an answer for each item, as far as it got (one at least):
--       false                                                   the partition does not migrate, nor is it sealed
--       {'gone'}
--       {'dump', when it expires or '', dump, dump of the other key}
--       {'stream', offset it continues or '', epoch, how many in all if it is the end or '', when it expires or '',
--        offset, envelope, ...}
--       {'members', where the walk goes on or '0', when they expire or '', client, envelope, expiry, ...}
local generation, budget = ARGV[1], tonumber(ARGV[2])
local spent = 0

-- What handling an item, an entry or a member costs beside its bytes.
local ITEM, ENTRY = 512, 128
-- Larger ones are copied in parts.
local WHOLE_ENTRIES, WHOLE_BYTES = 256, 65536

local function text(number)
  return string.format('%.0f', number)
end

local time = redis.call('TIME')
time = time[1] * 1000 + math.floor(time[2] / 1000)

-- When a key expires: '' for never, nothing if it is gone.
local function due(key)
  local ttl = redis.call('PTTL', key)
  if ttl == -1 then
    return ''
  end
  return ttl > 0 and text(time + ttl) or nil
end

local function spend(answer, length, cost)
  spent = spent + length + cost
  return answer
end

-- Both keys as they are stored.
local function dump(key, other)
  local expires, first = due(key), redis.call('DUMP', key)
  if not expires or not first then
    return spend({'gone'}, 0, 0)
  end
  local second = other ~= key and redis.call('DUMP', other) or ''
  return spend({'dump', expires, first, second}, #first + #second, 0)
end

local function is_small(key, entries)
  return entries <= WHOLE_ENTRIES and (redis.call('MEMORY', 'USAGE', key) or 0) <= WHOLE_BYTES
end

-- The offset after which a copy is continued, if it can be.
local function continued(stream, epoch, last, known, expires)
  if last == '' or known ~= epoch or (expires ~= '' and tonumber(expires) <= time) then
    return ''
  end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local gap = not first or tonumber(string.match(first[1], '^%d+')) > tonumber(last) + 1
  return gap and '' or last
end

-- Appends offsets and envelopes to the answer, from `start` on. Returns whether these were the last.
local function read_entries(answer, stream, start)
  local limit = math.max(budget - spent, budget / 2) + spent
  local count, largest = 1, 0
  while true do
    local entries = redis.call('XRANGE', stream, start, '+', 'COUNT', count)
    for _, entry in ipairs(entries) do
      local id, envelope = entry[1], entry[2][2]
      answer[#answer + 1] = string.match(id, '^%d+')
      answer[#answer + 1] = envelope
      largest = math.max(largest, #envelope + ENTRY)
      spent = spent + #envelope + ENTRY
      start = '(' .. id
    end
    if #entries < count then
      return true
    elseif spent >= limit then
      return false
    end
    -- By twos: how large the next ones are is not known before they are read.
    count = math.max(1, math.min(64, 2 * count, math.floor((limit - spent) / largest)))
  end
end

local copy = {}

function copy.key(key, other)
  return dump(key, other)
end

function copy.stream(stream, meta, last, known, expires)
  local length, now_due = redis.call('XLEN', stream), due(stream)
  if length == 0 or not now_due then
    return {'gone'}
  end
  local epoch = redis.call('HGET', meta, 'e') or ''
  local after = continued(stream, epoch, last, known, expires)
  if after == '' and is_small(stream, length) then
    return dump(stream, stream)
  end
  local answer = {'stream', after, epoch, '', now_due}
  local start = after == '' and '-' or '(' .. after .. '-0'
  if read_entries(answer, stream, start) then
    answer[4] = text(length)
  end
  return answer
end

function copy.presence(members, expiry, cursor)
  local now_due = due(members)
  if not now_due then
    return {'gone'}
  elseif cursor == '0' and is_small(members, redis.call('HLEN', members)) then
    return dump(members, expiry)
  end
  local answer = {'members', cursor, now_due}
  local limit = math.max(budget - spent, budget / 2) + spent
  repeat
    local found = redis.call('HSCAN', members, cursor, 'COUNT', 64)
    cursor = found[1]
    for index = 1, #found[2], 2 do
      local client, envelope = found[2][index], found[2][index + 1]
      answer[#answer + 1] = client
      answer[#answer + 1] = envelope
      answer[#answer + 1] = redis.call('ZSCORE', expiry, client) or '0'
      spent = spent + #client + #envelope + ENTRY
    end
  until cursor == '0' or spent >= limit
  answer[2] = cursor
  return answer
end

function copy.member(members, expiry, client)
  local envelope, score = redis.call('HGET', members, client), redis.call('ZSCORE', expiry, client)
  if not envelope or not score then
    return {'gone'}
  end
  return spend({'members', '0', due(members) or '', client, envelope, score}, #envelope, 0)
end

local function is_source(owner)
  local record = redis.call('HMGET', owner, 'g', 's')
  return record[1] == generation and (record[2] == 'migrating' or record[2] == 'sealed')
end

local answers = {}
for item = 1, #KEYS / 3 do
  if spent >= budget then
    break
  end
  local keys, words = 3 * item - 2, 4 * item - 1
  spent = spent + ITEM
  answers[item] = is_source(KEYS[keys])
    and copy[ARGV[words]](KEYS[keys + 1], KEYS[keys + 2], ARGV[words + 1], ARGV[words + 2], ARGV[words + 3])
end
return answers
