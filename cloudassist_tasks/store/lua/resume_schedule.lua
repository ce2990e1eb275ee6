#!lua flags=allow-oom
-- resume_schedule(keys=[header, due], args=[invoke_id, version, settled_ms, next_ms, tick_ms, now_ms]) -> 1 | 0
-- It goes on, next_ms being its next time or ''. version (of the spec), settled_ms: what that was worked out from.
-- 0: it has ended, or is not paused, or these are others by now.
local is = redis.call('HMGET', KEYS[1], 'ended', 'paused', 'spec', 'settled_ms')
if is[1] or not is[2] then return 0 end
if (is[3] or '0') ~= ARGV[2] or (is[4] or '0') ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], 'paused')
redis.call('HSET', KEYS[1], 'resumed_ms', ARGV[6])
if ARGV[4] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
  redis.call('HSET', KEYS[1], 'tick_ms', ARGV[5])
end
return 1
