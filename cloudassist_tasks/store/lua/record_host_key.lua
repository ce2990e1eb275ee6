#!lua flags=allow-oom
-- record_host_key(keys=[instance], args=[host_key]) -> 1 | 0
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return 0 end
return redis.call('HSETNX', KEYS[1], 'host_key', ARGV[1])
