#!lua flags=allow-oom
-- change_access_key(keys=[access_key], args=[field, value, ...]) -> 1 | 0
-- Nothing is written of a key that is gone.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
