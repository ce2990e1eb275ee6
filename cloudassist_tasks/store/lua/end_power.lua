#!lua flags=allow-oom
-- end_power(keys=[instance, power_due, changes], args=[power_id, status, error, now_ms, due_member, instance_id]) -> 1 | 0
-- uses: changed
redis.call('ZREM', KEYS[2], ARGV[5])
local is = redis.call('HMGET', KEYS[1], 'power_id', 'power_ended_ms')
if is[1] ~= ARGV[1] or is[2] ~= '0' then return 0 end
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'power_ended_ms', ARGV[4], 'power_error', ARGV[3])
changed(KEYS[3], ARGV[6])
return 1
