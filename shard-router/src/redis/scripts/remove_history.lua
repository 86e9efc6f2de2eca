-- KEYS: owner, dirty, stream
-- ARGV: topic, envelope of the message that says so
if redis.call('DEL', KEYS[3]) == 1 then
  note(KEYS[3])
end
send(ARGV[1], '0', '', ARGV[2])
return {1}
