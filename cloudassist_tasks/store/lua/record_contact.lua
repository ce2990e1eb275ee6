#!lua flags=allow-oom
-- record_contact(keys=[instance], args=[last_error, (field, value)...]) -> 1 | 0
if redis.call('HEXISTS', KEYS[1], 'doc') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'last_error', unpack(ARGV))
return 1
