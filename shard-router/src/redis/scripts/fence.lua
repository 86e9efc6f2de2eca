-- The acts of a coordinator on one partition; fence.rs says the same and explains it. No prelude: these decide who is
-- served.
-- KEYS: owner
-- ARGV: act, generation, token, keep_epochs (1 or 0), control channel, partition, a second generation (import: the
-- source's floor; abort: the move's; fresh: unless open at this one; 0: none)
-- Returns {1} done, {0} refused without a record, {0, generation, state, token, floor} refused by that record.

-- A first write that takes no memory makes the later ones allowed: the fence must work on a full server, or a shard
-- that restarts full could never be admitted.
redis.call('PERSIST', KEYS[1])

local fields = redis.call('HMGET', KEYS[1], 'g', 's', 't', 'f')
local generation, token = tonumber(ARGV[2]), tonumber(ARGV[3])
local record = nil
if fields[1] then
  record = {g = tonumber(fields[1]), s = fields[2], t = tonumber(fields[3]), f = tonumber(fields[4])}
end

local function text(number)
  return string.format('%.0f', number)
end

local function write(state, holder, floor)
  redis.call('HSET', KEYS[1], 'g', text(generation), 's', state, 't', text(holder), 'f', text(floor))
  return true
end

-- Each act returns whether the record is, now or since an earlier attempt, as the act wants it.
local acts = {}

function acts.admit()
  if not record then
    return write('sealed', 0, generation)
  elseif record.g < generation then
    local floor = ARGV[4] == '1' and record.f or generation
    if record.s == 'open' or record.s == 'migrating' then
      redis.call('PUBLISH', ARGV[5], 'sealed ' .. ARGV[6] .. ' ' .. text(generation))
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

function acts.fresh()
  if not record or record.g < generation then
    return write('importing', token, generation)
  elseif record.g > generation or record.s ~= 'importing' or record.t > token then
    return false
  end
  return write('importing', token, record.f)
end

function acts.open()
  if not record or record.g ~= generation then
    return false
  elseif record.s == 'importing' and record.t == token then
    return write('open', record.t, record.f)
  end
  return record.s == 'open'
end

if acts[ARGV[1]]() then
  return {1}
elseif record then
  return {0, record.g, record.s, record.t, record.f}
end
return {0}
