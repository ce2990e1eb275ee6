#!lua
-- add_command(keys=[command, commands], args=[quota, entry, doc, content, kept]) -> 'added' | 'quota'
-- The same command, sent again, is added once.
if redis.call('EXISTS', KEYS[1]) == 0 and ARGV[5] == '1' and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then
  return 'quota'
end
if ARGV[5] == '1' then redis.call('ZADD', KEYS[2], 0, ARGV[2]) end
redis.call('HSET', KEYS[1], 'entry', ARGV[2], 'doc', ARGV[3], 'content', ARGV[4])
return 'added'
