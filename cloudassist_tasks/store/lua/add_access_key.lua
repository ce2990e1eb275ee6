#!lua
-- add_access_key(keys=[access_key, access_keys], args=[entry, field, value, ...]) -> 1
-- The same key, sent again, is added once.
redis.call('HSET', KEYS[1], 'entry', ARGV[1], unpack(ARGV, 2))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
