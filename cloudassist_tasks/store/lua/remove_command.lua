#!lua flags=allow-oom
-- remove_command(keys=[command, commands, commands_in_use], args=[command_id]) -> 'removed' | 'in_use' | 'missing'
local entry = redis.call('HGET', KEYS[1], 'entry')
if not entry then return 'missing' end
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return 'in_use' end
redis.call('ZREM', KEYS[2], entry)
redis.call('DEL', KEYS[1])
return 'removed'
