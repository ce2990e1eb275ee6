#!lua flags=allow-oom
-- record_contact(keys=[instance, boots], args=[last_error, instance_id, now_ms, boot_id, (field, value)...]) -> 1 | 0
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return 0 end
-- Whoever waits for its next boot looks at once.
if ARGV[4] ~= '' and redis.call('HGET', KEYS[1], 'boot_id') ~= ARGV[4] then
  redis.call('ZADD', KEYS[2], 'XX', 'LT', ARGV[3], ARGV[2])
end
redis.call('HSET', KEYS[1], 'last_error', ARGV[1], unpack(ARGV, 5))
return 1
