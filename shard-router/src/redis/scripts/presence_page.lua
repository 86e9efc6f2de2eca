-- KEYS: owner, dirty, members, expiry
-- ARGV: how many members at most
expire(KEYS[3], KEYS[4], text(now()))
local answer = {redis.call('HLEN', KEYS[3])}
local clients = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '+inf', 'LIMIT', 0, ARGV[1])
if #clients > 0 then
  local envelopes = redis.call('HMGET', KEYS[3], unpack(clients))
  for index, client in ipairs(clients) do
    if envelopes[index] then
      answer[#answer + 1] = client
      answer[#answer + 1] = envelopes[index]
    end
  end
end
return answer
