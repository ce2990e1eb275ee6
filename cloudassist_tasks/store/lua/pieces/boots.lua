-- The invocation waits for the instance's next boot; it is looked at as soon as may be.
local function await_boot(boots, instance_id, invoke_id, now_ms)
  redis.call('SADD', boots .. ':' .. instance_id, invoke_id)
  redis.call('ZADD', boots, now_ms, instance_id)
end
