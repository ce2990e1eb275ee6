#!lua
-- add_instances(keys=[instances, changes, instance...], args=[replace, (id, doc, host_key)...]) -> '' | id that exists
-- All or none. What the last contact showed belongs to the machine as it was registered before: it goes.
-- uses: changed
for k = 3, #KEYS do
  if ARGV[1] ~= '1' and redis.call('EXISTS', KEYS[k]) == 1 then return ARGV[(k - 3) * 3 + 2] end
end
for k = 3, #KEYS do
  local at = (k - 3) * 3 + 2
  redis.call('HDEL', KEYS[k], 'host_key', 'facts', 'boot_id', 'boot_seen_ms', 'zone', 'last_error', 'last_contact_ms')
  redis.call('HSET', KEYS[k], 'doc', ARGV[at + 1])
  if ARGV[at + 2] ~= '' then redis.call('HSET', KEYS[k], 'host_key', ARGV[at + 2]) end
  redis.call('ZADD', KEYS[1], 0, ARGV[at])
  changed(KEYS[2], ARGV[at])
end
return ''
