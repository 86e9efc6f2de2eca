-- Tries commands in a way that changes nothing, to find those that the user may not run: an error for want of
-- permission comes before any other.
-- KEYS: one that never exists
-- ARGV: for each command the number of its words, then these, with @ for the key
-- Returns name and error in turn.
local denied, index = {}, 1
while index <= #ARGV do
  local words = {}
  for offset = 1, tonumber(ARGV[index]) do
    local word = ARGV[index + offset]
    words[offset] = word == '@' and KEYS[1] or word
  end
  local answer = redis.pcall(unpack(words))
  local err = type(answer) == 'table' and answer.err or ''
  if string.find(err, 'NOPERM', 1, true) or string.find(err, 'The user executing the script', 1, true) then
    denied[#denied + 1] = words[1]
    denied[#denied + 1] = err
  end
  index = index + 1 + #words
end
return denied
