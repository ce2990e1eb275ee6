#!lua flags=allow-oom
-- fail_delivery(keys=[outbox, dead, delivery], args=[member, error, since_ms, now_ms, next_ms, give_up]) -> 1 | 0
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('HINCRBY', KEYS[3], 'failures', 1)
redis.call('HSETNX', KEYS[3], 'since_ms', ARGV[3])
redis.call('HSET', KEYS[3], 'error', ARGV[2], 'tried_ms', ARGV[4])
if ARGV[6] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[5], ARGV[1])
end
return 1
