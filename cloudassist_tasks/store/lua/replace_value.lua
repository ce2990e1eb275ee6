#!lua
-- replace_value(keys=[value], args=[instead_of, value]) -> what stands then
-- instead_of '': only if nothing stands there.
local stands = redis.call('GET', KEYS[1])
if (stands or '') ~= ARGV[1] then return stands end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
