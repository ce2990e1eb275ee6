#!lua flags=allow-oom
-- end_power(keys=[instance, power_due, changes], args=[power_id, status, error, now_ms, due_member, instance_id, unless_at_it])
--   -> 1 | 0
-- uses: changed
-- unless_at_it: '1' leaves it to the worker that has taken it and whose time is not over.
local is = redis.call('HMGET', KEYS[1], 'power_id', 'power_ended_ms', 'power_taken')
local open = is[1] == ARGV[1] and is[2] == '0'
if open and ARGV[7] == '1' and is[3] ~= '0' then
  local due_ms = redis.call('ZSCORE', KEYS[2], ARGV[5])
  if due_ms and tonumber(due_ms) > tonumber(ARGV[4]) then return 0 end
end
redis.call('ZREM', KEYS[2], ARGV[5])
if not open then return 0 end
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'power_ended_ms', ARGV[4], 'power_error', ARGV[3])
changed(KEYS[3], ARGV[6])
return 1
