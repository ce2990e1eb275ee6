#!lua
-- see_running(keys=[instance, changes], args=[ended_before_ms, instance_id]) -> 1 | 0
-- uses: changed
local is = redis.call('HMGET', KEYS[1], 'status', 'power_ended_ms')
if is[1] ~= 'Stopped' or tonumber(is[2]) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'status', 'Running')
changed(KEYS[2], ARGV[2])
return 1
