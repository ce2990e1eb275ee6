-- The run leaves its instance. If it had a slot, the slot is promised to the run that has waited longest:
-- its id is returned, and it is due at `due_ms` should its message be lost. Else false.
local function free_slot(slots, waiting, due, run_id, due_ms)
  if redis.call('SREM', slots, run_id) == 0 then
    redis.call('ZREM', waiting, run_id)
    return false
  end
  local first = redis.call('ZPOPMIN', waiting)[1]
  if not first then return false end
  redis.call('SADD', slots, first)
  redis.call('ZADD', due, due_ms, first)
  return first
end

-- The run goes on unfollowed no more.
local function leave_adrift(adrift, due_instances, run_id, instance_id)
  if redis.call('SREM', adrift, run_id) == 1 and redis.call('EXISTS', adrift) == 0 then
    redis.call('ZREM', due_instances, instance_id)
  end
end
