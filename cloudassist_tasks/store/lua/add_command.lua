#!lua
-- add_command(keys=[command, commands, last_command, texts, marks...], args=[quota, entry, doc, content, text, kept])
--   -> ['added'] | ['there', field, value...] | ['quota']
-- 'there': one of this id, with what is kept of it; it stays as it is. (It may be the same call, sent again.)
-- text: its name and description.
-- uses: kept
local there = redis.call('HGETALL', KEYS[1])
if #there > 0 then return {'there', unpack(there)} end
if ARGV[6] == '1' then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then return {'quota'} end
  keep(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[2], ARGV[5], 5, #KEYS)
end
redis.call('HSET', KEYS[1], 'entry', ARGV[2], 'doc', ARGV[3], 'content', ARGV[4])
return {'added'}
