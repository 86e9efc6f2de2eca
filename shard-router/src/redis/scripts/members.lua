-- Stands, behind the prelude, before every script that touches a channel's presence.

-- The server's time in milliseconds.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Notes clients, a thousand at most, of the presence whose members' key this is: a large presence is not copied again
-- for each of them.
local function note_members(members, clients)
  if migrating then
    local channel = string.sub(members, stem + 1 + #'presence:')
    local names = {}
    for index, client in ipairs(clients) do
      names[index] = 'member:' .. #channel .. ':' .. channel .. ':' .. client
    end
    note_names(names)
  end
end

-- Drops the members of a channel's presence whose time is over.
local function expire(members, expiry, time)
  local gone
  repeat
    gone = redis.call('ZRANGEBYSCORE', expiry, '-inf', time, 'LIMIT', 0, 1000)
    if #gone > 0 then
      redis.call('HDEL', members, unpack(gone))
      redis.call('ZREM', expiry, unpack(gone))
      note_members(members, gone)
    end
  until #gone < 1000
end
