#!lua
-- remove_access_key(keys=[access_key, access_keys], args=[]) -> 1 | 0
local entry = redis.call('HGET', KEYS[1], 'entry')
if not entry then return 0 end
redis.call('ZREM', KEYS[2], entry)
redis.call('DEL', KEYS[1])
return 1
