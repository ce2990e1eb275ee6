#!lua flags=allow-oom
-- record_late(keys=[run, fences], args=[run_id, late_result]) -> 1
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'late_result', ARGV[2]) end
return 1
