#!lua flags=allow-oom
-- reserve_batch(keys=[header, unpublished, unclaimed, tally],
--   args=[invoke_id, batch, window, low, now_ms, round]) -> [run_id...]
-- uses: reserve
local is = redis.call('HMGET', KEYS[1], 'stop_ms', 'halt_ms')
if is[1] ~= '0' or is[2] then return {} end
local waiting = redis.call('ZCARD', KEYS[3])
if waiting >= tonumber(ARGV[4]) then return {} end
local room = math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) - waiting)
return reserve(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[6], room, ARGV[5])
