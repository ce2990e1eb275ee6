#!lua flags=allow-oom
-- register_worker(keys=[workers, info], args=[worker, now_ms, (field, value)...]) -> 1
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
return 1
