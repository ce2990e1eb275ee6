#!lua flags=allow-oom
-- read_schedules(keys=[due, header...], args=[invoke_id...])
--   -> [[next_ms | nil, number of the newest round, header, tally, header of that round, tally of it]...]
-- Each as it stands at one moment. What there is not is empty.
local read = {}
for at, invoke_id in ipairs(ARGV) do
  local header = KEYS[at + 1]
  local newest = redis.call('HGET', header, 'round') or '0'
  local round = header .. ':r' .. newest
  read[at] = {
    redis.call('ZSCORE', KEYS[1], invoke_id), newest,
    redis.call('HGETALL', header), redis.call('HGETALL', header .. ':tally'),
    redis.call('HGETALL', round), redis.call('HGETALL', round .. ':tally')
  }
end
return read
