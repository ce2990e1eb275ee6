#!lua flags=allow-oom
-- disown_claim(keys=[run, claims, due], args=[run_id, worker, nonce, now_ms]) -> 1 | 0
-- A claim whose answer was lost: if it was granted, the run is due again.
local is = redis.call('HMGET', KEYS[1], 'worker', 'nonce', 'phase')
if is[1] ~= ARGV[2] or is[2] ~= ARGV[3] or is[3] == '' then return 0 end
redis.call('HSET', KEYS[1], 'worker', '', 'nonce', '')
if is[3] == 'Claimed' then redis.call('HSET', KEYS[1], 'phase', 'Queued') end
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
return 1
