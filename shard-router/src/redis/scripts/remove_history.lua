-- KEYS: owner, dirty, stream
if redis.call('DEL', KEYS[3]) == 1 then
  note(KEYS[3])
end
return {1}
