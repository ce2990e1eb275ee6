#!lua
-- replace_command(keys=[command], args=[doc]) -> 1 | 0
-- The content and the time of creation stay as they were.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'doc', ARGV[1])
return 1
