-- KEYS: owner, dirty
-- ARGV: topic, envelope
send(ARGV[1], '0', '', ARGV[2])
return {1}
