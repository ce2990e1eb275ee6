#!lua
-- put_delivery(keys=[outbox, dead, delivery], args=[member, now_ms]) -> 1
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
