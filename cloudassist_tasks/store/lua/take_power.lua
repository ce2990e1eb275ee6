#!lua
-- take_power(keys=[instance, power_due], args=[power_id, nonce, due_ms, due_member]) -> 1 | 0
-- nonce: the same call, sent again after its answer was lost, gets the same answer.
local is = redis.call('HMGET', KEYS[1], 'power_id', 'power_ended_ms', 'power_taken')
if is[1] ~= ARGV[1] or is[2] ~= '0' then return 0 end
if is[3] ~= '0' then return is[3] == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'power_taken', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
return 1
