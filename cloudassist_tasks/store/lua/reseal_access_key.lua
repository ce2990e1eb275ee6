#!lua
-- reseal_access_key(keys=[access_key], args=[old_sealed, old_earlier, sealed, earlier]) -> 1 | 0
-- Nothing is written if the secrets are not those that were read.
local now = redis.call('HMGET', KEYS[1], 'sealed', 'earlier')
if now[1] ~= ARGV[1] or (now[2] or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'sealed', ARGV[3], 'earlier', ARGV[4])
return 1
