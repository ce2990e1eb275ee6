#!lua flags=allow-oom
-- take_from(keys=[scored], args=[until_ms, again_ms, limit]) -> [member...]
-- Members scored at most until_ms, oldest first; each comes again from again_ms on if nobody removes it.
local taken = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, member in ipairs(taken) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return taken
