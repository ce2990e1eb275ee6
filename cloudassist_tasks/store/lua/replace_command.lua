#!lua
-- replace_command(keys=[command, texts, marks...], args=[doc, new_doc, new_text, old])
--   -> 'done' | 'again' | 'missing'
-- The content and the time of creation stay as they were. The first `old` marks are those that it carried, the
-- others those that it carries from now on. 'again': it is no longer as `doc` says.
-- uses: marks
local is = redis.call('HMGET', KEYS[1], 'doc', 'number')
if not is[1] then return 'missing' end
if is[1] ~= ARGV[1] then return 'again' end
redis.call('HSET', KEYS[1], 'doc', ARGV[2])
if is[2] then
  redis.call('HSET', KEYS[2], is[2], ARGV[3])
  for at = 3, #KEYS do
    if at < 3 + tonumber(ARGV[4]) then unmark(KEYS[at], is[2]) else mark(KEYS[at], is[2]) end
  end
end
return 'done'
