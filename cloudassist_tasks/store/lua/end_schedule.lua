#!lua flags=allow-oom
-- end_schedule(keys=[header, due, open], args=[invoke_id, now_ms]) -> 1 | 0
-- No round follows: it was stopped. 0: it was stopped before, or is closed.
local is = redis.call('HMGET', KEYS[1], 'entry', 'stop_ms', 'finish_ms')
if not is[1] or is[2] ~= '0' or is[3] ~= '0' then return 0 end
redis.call('HSET', KEYS[1], 'stop_ms', ARGV[2], 'ended', 'stopped')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], 0, is[1])
return 1
