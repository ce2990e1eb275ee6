#!lua flags=allow-oom
-- leave_worker(keys=[workers, claims, info], args=[worker]) -> 1
-- One that still holds runs is dead from now on instead: whoever buries it makes them due.
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[3])
end
return 1
