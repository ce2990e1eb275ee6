#!lua flags=allow-oom
-- record_zone(keys=[instance], args=[zone]) -> 1 | 0
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'zone', ARGV[1])
return 1
