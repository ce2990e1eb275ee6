#!lua flags=allow-oom
-- beat_worker(keys=[workers, claims, stopping], args=[worker, now_ms]) -> [run_id to stop...] | nil
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < 0 then return false end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return redis.call('SINTER', KEYS[2], KEYS[3])
