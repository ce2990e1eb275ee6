#!lua flags=allow-oom
-- drop_events(keys=[events, dropped], args=[before_ms, at_most, step]) -> how many
-- At most `step` of the oldest go: those from before `before_ms`, and those above `at_most`. The id of the
-- newest of them is remembered.
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[3])
local above, before_ms = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[2]), tonumber(ARGV[1])
local go = 0
for at, entry in ipairs(oldest) do
  if at > above and tonumber(string.match(entry[1], '^%d+')) >= before_ms then break end
  go = at
end
if go == 0 then return 0 end
local ms, n = string.match(oldest[go][1], '^(%d+)-(%d+)$')
redis.call('SET', KEYS[2], oldest[go][1])
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', tonumber(n) + 1))
