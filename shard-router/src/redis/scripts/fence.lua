-- The acts of a coordinator on one partition; fence.rs says the same and explains it. No prelude: these decide who is
-- served.
-- KEYS: owner, dirty
-- ARGV: act, generation, token, keep_epochs (1 or 0), control channel, partition, a second generation (import: the
-- source's floor; abort: the move's; fresh: unless open at this one; 0: none)
-- Returns {1} done, {0} refused without a record, {0, generation, state, token, floor} refused by that record.

-- A first write that takes no memory makes the later ones allowed: the fence must work on a full server, or a shard
-- that restarts full could never be admitted.
redis.call('PERSIST', KEYS[1])

local fields = redis.call('HMGET', KEYS[1], 'g', 's', 't', 'f')
local generation, token, other = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[7])
local record = nil
if fields[1] then
  record = {g = tonumber(fields[1]), s = fields[2], t = tonumber(fields[3]), f = tonumber(fields[4])}
end

local function text(number)
  return string.format('%.0f', number)
end

local function forget_changes()
  redis.call('UNLINK', KEYS[2])
  redis.call('HDEL', KEYS[1], 'd')
end

local function write(state, holder, floor)
  if state == 'open' then
    -- Whoever was interested in what changed before is not any more.
    forget_changes()
  end
  redis.call('HSET', KEYS[1], 'g', text(generation), 's', state, 't', text(holder), 'f', text(floor))
  return true
end

-- Tells every gateway that is subscribed here that nothing of the partition follows.
local function mark()
  redis.call('PUBLISH', ARGV[5], 'sealed ' .. ARGV[6] .. ' ' .. text(generation))
end

local function is_served()
  return record.s == 'open' or record.s == 'migrating'
end

-- Each act returns whether the record is, now or since an earlier attempt, as the act wants it.
local acts = {}

function acts.admit()
  if not record then
    return write('sealed', 0, generation)
  elseif record.g < generation then
    local floor = ARGV[4] == '1' and record.f or generation
    if is_served() then
      mark()
    end
    return write('sealed', record.t, floor)
  end
  return record.g == generation and record.s == 'sealed'
end

function acts.reopen()
  if not record or record.g ~= generation then
    return false
  elseif record.s == 'sealed' then
    return write('open', record.t, record.f)
  end
  return record.s == 'open'
end

-- Closes the partition so that the holder of the token may fill it, under this floor unless somebody has begun to.
local function take(floor)
  if not record or record.g < generation then
    return write('importing', token, floor)
  elseif record.g > generation or record.s ~= 'importing' or record.t > token then
    return false
  end
  return write('importing', token, record.f)
end

function acts.fresh()
  if record and record.s == 'open' and record.g == other then
    return false
  end
  return take(generation)
end

function acts.import()
  return take(other)
end

function acts.open()
  if not record or record.g ~= generation then
    return false
  elseif record.s == 'importing' and record.t == token then
    return write('open', record.t, record.f)
  end
  return record.s == 'open'
end

function acts.migrate()
  if not record then
    return false
  elseif record.s == 'open' and record.g < generation then
    forget_changes()
    return write('migrating', record.t, record.f)
  end
  return record.g == generation and record.s == 'migrating'
end

function acts.seal()
  if not record or record.g ~= generation then
    return false
  elseif record.s == 'migrating' then
    mark()
    return write('sealed', record.t, record.f)
  end
  return record.s == 'sealed'
end

function acts.abort()
  if not record then
    return false
  elseif record.g == generation and record.s == 'open' then
    return true
  end
  return record.g <= other and is_served() and write('open', record.t, record.f)
end

function acts.reclaim()
  if not record then
    return false
  elseif record.g == generation and record.s == 'open' then
    return true
  end
  local closed = record.s == 'sealed' or record.s == 'importing'
  return record.g < generation and closed and write('open', record.t, generation)
end

function acts.close()
  if not record then
    return true
  elseif record.g > generation or is_served() then
    return false
  end
  generation = record.g
  return write('sealed', record.t, record.f)
end

if acts[ARGV[1]]() then
  return {1}
elseif record then
  return {0, record.g, record.s, record.t, record.f}
end
return {0}
