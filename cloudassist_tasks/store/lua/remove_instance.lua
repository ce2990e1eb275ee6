#!lua flags=allow-oom
-- remove_instance(keys=[instance, instances, open, by_number, marks of the instance, due_instances,
--   changes, schedules, run...],
--   args=[instance_id, open_statuses, headers, entry of the open invocation of each run...])
--   -> ['removed' | 'missing' | 'in_use'] | ['again', entry...]
-- headers: where the names of headers begin. 'again': the instance is a member of other open invocations than the caller knew of; here are all.
-- uses: words marks changed
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return {'missing'} end
local known, again, now = {}, false, {'again'}
for at = 4, #ARGV do known[ARGV[at]] = KEYS[at + 5] end
for _, entry in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local number = redis.call('ZSCORE', KEYS[4], entry) -- none: a round; its schedule is looked at below
  if number and not redis.call('ZSCORE', KEYS[8], entry) and marked(KEYS[5], number) then
    now[#now + 1] = entry
    again = again or not known[entry]
  end
end
if again then return now end
for _, entry in ipairs(redis.call('ZRANGE', KEYS[8], 0, -1)) do
  if marked(KEYS[5], redis.call('ZSCORE', KEYS[4], entry)) then
    local header = ARGV[3] .. string.match(entry, '%.(.+)$')
    if redis.call('HEXISTS', header .. ':ended', ARGV[1]) == 0 then return {'in_use'} end
  end
end
for at = 2, #now do
  if among(redis.call('HGET', known[now[at]], 'status') or 'Pending', ARGV[2]) then return {'in_use'} end
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
changed(KEYS[7], ARGV[1])
return {'removed'}
