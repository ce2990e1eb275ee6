#!lua flags=allow-oom
-- use_nonce(keys=[nonce], args=[mark, keep_ms]) -> 1 | 0
local found = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[2])
if not found or found == ARGV[1] then return 1 end
return 0
