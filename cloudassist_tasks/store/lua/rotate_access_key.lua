#!lua
-- rotate_access_key(keys=[access_key], args=[sealed, earlier_until_ms, now_ms]) -> 1 | 0
-- The same rotation, sent again, leaves the secret before it in its place.
local sealed = redis.call('HGET', KEYS[1], 'sealed')
if not sealed then return 0 end
if sealed == ARGV[1] then return 1 end
redis.call('HSET', KEYS[1], 'sealed', ARGV[1], 'earlier', sealed, 'earlier_until', ARGV[2], 'rotated', ARGV[3])
return 1
