#!lua
-- replace_command(keys=[command, texts, marks...], args=[doc before, doc after, text after, old]) -> 1 | 0
-- The content and the time of creation stay as they were. The first `old` marks are those that it carried, the
-- others those that it carries from now on.
-- uses: marks
local is = redis.call('HMGET', KEYS[1], 'doc', 'number')
if is[1] == ARGV[2] then return 1 end -- the same call, sent again
if is[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'doc', ARGV[2])
if is[2] then
  redis.call('HSET', KEYS[2], is[2], ARGV[3])
  for at = 3, #KEYS do
    if at < 3 + tonumber(ARGV[4]) then unmark(KEYS[at], is[2]) else mark(KEYS[at], is[2]) end
  end
end
return 1
