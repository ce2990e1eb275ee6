#!lua flags=allow-oom
-- remove_instance(keys=[instance, instances, open, instance_invocations, due_instances, run...],
--   args=[instance_id, open_statuses, entry of the open invocation of each run...])
--   -> 'removed' | 'missing' | 'in_use' | 'again'
-- 'again': the instance is a member of other open invocations than the caller knew of.
-- uses: words
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return 'missing' end
local now = redis.call('ZINTER', 2, KEYS[3], KEYS[4])
local known = {}
for at = 3, #ARGV do known[ARGV[at]] = KEYS[at + 3] end
for _, entry in ipairs(now) do
  local run = known[entry]
  if not run then return 'again' end
  if among(redis.call('HGET', run, 'status') or 'Pending', ARGV[2]) then return 'in_use' end
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
return 'removed'
