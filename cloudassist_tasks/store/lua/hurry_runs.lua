#!lua flags=allow-oom
-- hurry_runs(keys=[due, adrift...], args=[now_ms, run_id...]) -> [run_id...]
local hurried = {}
for at = 2, #ARGV do
  if redis.call('SISMEMBER', KEYS[at], ARGV[at]) == 1 then
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[at])
    hurried[#hurried + 1] = ARGV[at]
  end
end
return hurried
