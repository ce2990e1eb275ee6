#!lua flags=allow-oom
-- read_marks(keys=[marks...], args=[chunk]) -> [[chunk, bytes, ...]...]
-- chunk: that one alone; empty: all. All at one moment: what moves from one to another is seen in exactly one.
local read = {}
for at = 1, #KEYS do
  if ARGV[1] == '' then
    read[at] = redis.call('HGETALL', KEYS[at])
  else
    local bytes = redis.call('HGET', KEYS[at], ARGV[1])
    read[at] = bytes and {ARGV[1], bytes} or {}
  end
end
return read
