#!lua
-- retag_instance(keys=[instance], args=[doc before, doc after]) -> 1 | 0
local doc = redis.call('HGET', KEYS[1], 'doc')
if doc == ARGV[2] then return 1 end -- the same call, sent again
if doc ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'doc', ARGV[2])
return 1
