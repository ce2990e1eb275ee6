#!lua flags=allow-oom
-- record_output(keys=[run, claims, output],
--   args=[run_id, worker, epoch, head, tail, total, dropped, now_ms, open_statuses, moves])
--   -> [done, status, stop, stale]
-- One that was overtaken on its way, being shorter than what is there, changes nothing.
-- uses: held words
local status, stopped, rest = held(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
local stop = stopped and 1 or 0
if not status then return {0, rest, stop, 1} end
if not among(status, ARGV[9]) then return {0, status, stop, 0} end
if tonumber(redis.call('HGET', KEYS[3], 'total') or 0) > tonumber(ARGV[6]) then return {1, status, stop, 0} end
redis.call('HSET', KEYS[3], 'head', ARGV[4], 'tail', ARGV[5], 'total', ARGV[6])
redis.call('HSET', KEYS[1], 'output_bytes', ARGV[6], 'dropped', ARGV[7], 'update_ms', ARGV[8])
redis.call('PUBLISH', ARGV[10], ARGV[1] .. ' ' .. status)
return {1, status, stop, 0}
