#!lua
-- add_command(keys=[command, commands, last_command, texts, marks...], args=[quota, entry, doc, content, text, kept])
--   -> 'added' | 'quota'
-- The same command, sent again, is added once. text: its name and description.
-- uses: kept
local new = redis.call('EXISTS', KEYS[1]) == 0
if new and ARGV[6] == '1' then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then return 'quota' end
  keep(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[2], ARGV[5], 5, #KEYS)
end
redis.call('HSET', KEYS[1], 'entry', ARGV[2], 'doc', ARGV[3], 'content', ARGV[4])
return 'added'
