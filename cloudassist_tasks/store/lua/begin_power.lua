#!lua
-- begin_power(keys=[instance, power_due, changes],
--   args=[power_id, action, needs, during, force, now_ms, due_ms, due_member, instance_id])
--   -> ['begun', status before] | ['status', status] | ['missing']
-- uses: changed
local is = redis.call('HMGET', KEYS[1], 'doc', 'status', 'power_id')
if not is[1] then return {'missing'} end
if is[3] == ARGV[1] then return {'begun', ARGV[3]} end -- the same call, sent again
local status = is[2] or ARGV[3] -- never switched: what was registered, which the caller has looked at
if status ~= ARGV[3] then return {'status', status} end
redis.call('HSET', KEYS[1], 'status', ARGV[4], 'power_id', ARGV[1], 'power_action', ARGV[2], 'power_force', ARGV[5],
  'power_asked_ms', ARGV[6], 'power_ended_ms', 0, 'power_error', '', 'power_taken', 0)
redis.call('ZADD', KEYS[2], ARGV[7], ARGV[8])
changed(KEYS[3], ARGV[9])
return {'begun', status}
