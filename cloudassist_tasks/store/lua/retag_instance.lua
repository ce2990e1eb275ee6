#!lua
-- retag_instance(keys=[instance, changes], args=[doc before, doc after, instance_id]) -> 1 | 0
-- uses: changed
local doc = redis.call('HGET', KEYS[1], 'doc')
if doc == ARGV[2] then return 1 end -- the same call, sent again
if doc ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'doc', ARGV[2])
changed(KEYS[2], ARGV[3])
return 1
