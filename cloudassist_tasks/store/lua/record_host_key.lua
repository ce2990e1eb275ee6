#!lua flags=allow-oom
-- record_host_key(keys=[instance, changes], args=[host_key, instance_id]) -> 1 | 0
-- uses: changed
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return 0 end
if redis.call('HSETNX', KEYS[1], 'host_key', ARGV[1]) == 0 then return 0 end
changed(KEYS[2], ARGV[2])
return 1
