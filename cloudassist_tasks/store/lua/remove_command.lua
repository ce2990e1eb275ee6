#!lua flags=allow-oom
-- remove_command(keys=[command, commands, commands_in_use, texts, marks...], args=[command_id, doc])
--   -> 'removed' | 'in_use' | 'again'
-- 'again': it is no longer as `doc` says, and may carry other marks, or is gone.
-- uses: marks
local is = redis.call('HMGET', KEYS[1], 'entry', 'doc', 'number')
if is[2] ~= ARGV[2] then return 'again' end
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return 'in_use' end
redis.call('ZREM', KEYS[2], is[1])
redis.call('DEL', KEYS[1])
if is[3] then
  redis.call('HDEL', KEYS[4], is[3])
  for at = 5, #KEYS do unmark(KEYS[at], is[3]) end
end
return 'removed'
