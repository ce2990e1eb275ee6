#!lua flags=allow-oom
-- note_boot(keys=[header, boots of the header], args=[instance_id, before, boot]) -> 1 | 0
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
