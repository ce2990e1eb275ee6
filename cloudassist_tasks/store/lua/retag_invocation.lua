#!lua
-- retag_invocation(keys=[header, marks to set..., marks to clear...], args=[tags before, tags after, to set])
--   -> 1 | 0
-- The tags of the header, once there are any, count in place of those that it was opened with.
-- uses: marks
local is = redis.call('HMGET', KEYS[1], 'tags', 'number')
if not is[2] then return 0 end
if is[1] == ARGV[2] then return 1 end -- the same call, sent again
if (is[1] or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'tags', ARGV[2])
local to_set = tonumber(ARGV[3])
for at = 2, #KEYS do
  if at - 1 <= to_set then mark(KEYS[at], is[2]) else unmark(KEYS[at], is[2]) end
end
return 1
