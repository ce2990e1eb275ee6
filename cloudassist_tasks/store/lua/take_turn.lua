#!lua flags=allow-oom
-- take_turn(keys=[turn], args=[for_ms]) -> 1 | 0
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
