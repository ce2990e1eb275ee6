#!lua flags=allow-oom
-- fence_run(keys=[fences], args=[run_id, at_ms]) -> 1
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
