-- What is known of the instance is no longer true: whoever keeps it in memory reads it again.
local function changed(changes, instance_id)
  local last = redis.call('ZRANGE', changes, -1, -1, 'WITHSCORES')
  redis.call('ZADD', changes, (last[2] or 0) + 1, instance_id)
end
