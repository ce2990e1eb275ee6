#!lua flags=allow-oom
-- drop_delivery(keys=[outbox, dead, delivery], args=[member]) -> 1 | 0
redis.call('DEL', KEYS[3])
local due = redis.call('ZREM', KEYS[1], ARGV[1])
local dead = redis.call('ZREM', KEYS[2], ARGV[1])
return math.max(due, dead)
