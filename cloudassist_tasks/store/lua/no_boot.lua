#!lua flags=allow-oom
-- no_boot(keys=[awaited, boots], args=[invoke_id, instance_id]) -> 1
-- The invocation waits for no boot of the instance any more.
redis.call('SREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[2]) end
return 1
