#!lua flags=allow-oom
-- reserve_batch(keys=[header, unpublished, unclaimed, tally], args=[invoke_id, batch, window, low, now_ms])
--   -> [run_id...]
-- uses: caps
local is = redis.call('HMGET', KEYS[1], 'stop_ms', 'halt_ms')
if is[1] ~= '0' or is[2] then return {} end
local waiting = redis.call('ZCARD', KEYS[3])
if waiting >= tonumber(ARGV[4]) then return {} end
local room = math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) - waiting)
room = room_for(room, KEYS[1], KEYS[4], KEYS[2])
if room <= 0 then return {} end
local popped = redis.call('ZPOPMIN', KEYS[2], room)
local taken = {}
for at = 1, #popped, 2 do
  local run_id = ARGV[1] .. '.' .. popped[at] .. '.0'
  redis.call('ZADD', KEYS[3], ARGV[5], run_id)
  taken[#taken + 1] = run_id
end
if #taken > 0 then
  redis.call('HINCRBY', KEYS[1], 'published', #taken)
  redis.call('HINCRBY', KEYS[1], 'batches', 1)
end
return taken
