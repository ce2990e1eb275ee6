#!lua flags=allow-oom
-- mark_stop(keys=[header], args=[now_ms]) -> 1 | 0
local is = redis.call('HMGET', KEYS[1], 'stop_ms', 'finish_ms')
if is[1] ~= '0' or is[2] ~= '0' then return 0 end
redis.call('HSET', KEYS[1], 'stop_ms', ARGV[1])
return 1
