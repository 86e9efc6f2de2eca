-- KEYS: owner, dirty, stream, meta, key of the idempotency result (only with a TTL for it)
-- ARGV: topic, envelope, size of the stream (0: none), its TTL, the position's TTL (no shorter), new epoch,
--       TTL of the idempotency result or '', version or '', epoch of the version
local result_ttl, version = ARGV[7], ARGV[8]
if result_ttl ~= '' then
  local result = redis.call('GET', KEYS[5])
  if result then
    local offset, epoch = string.match(result, '^(%d+) (.*)$')
    return {1, tonumber(offset), epoch}
  end
end

local epoch, offset = '', '0'
if ARGV[3] ~= '0' then
  epoch, offset = position(KEYS[4], KEYS[3], ARGV[6])
  if version ~= '' then
    local known = redis.call('HMGET', KEYS[4], 'v', 've')
    if known[1] and known[2] == ARGV[9] then
      -- Versions have 64 bits: compared as decimals, by length and then by digits.
      local newer = #version > #known[1] or (#version == #known[1] and version > known[1])
      if not newer then
        keep(KEYS[4], KEYS[3], ARGV[5])
        return {2, tonumber(offset), epoch}
      end
    end
    redis.call('HSET', KEYS[4], 'v', version, 've', ARGV[9])
  end
  offset = text(redis.call('HINCRBY', KEYS[4], 'o', '1'))
  redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[3], offset .. '-0', 'p', ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
  note(KEYS[3])
  -- Its content has just been given a TTL that is no longer than this one, so nobody has to ask for it.
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
  note(KEYS[4])
end

if result_ttl ~= '' then
  redis.call('SET', KEYS[5], offset .. ' ' .. epoch, 'PX', result_ttl)
  note(KEYS[5])
end
send(ARGV[1], offset, epoch, ARGV[2])
return {0, tonumber(offset), epoch}
