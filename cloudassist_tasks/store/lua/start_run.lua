#!lua flags=allow-oom
-- start_run(keys=[run, claims, tally, events], args=[run_id, worker, epoch, start_ms, now_ms, from, moves])
--   -> [done, status, stop, stale]
-- A run that is Running already stays as it is: somebody followed it before.
-- uses: held words tally events
local status, stopped, rest = held(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
local stop = stopped and 1 or 0
if not status then return {0, rest, stop, 1} end
if status == 'Running' then return {1, status, stop, 0} end
if not among(status, ARGV[6]) then return {0, status, stop, 0} end
redis.call('HSET', KEYS[1], 'status', 'Running', 'start_ms', ARGV[4], 'update_ms', ARGV[5])
retally(KEYS[3], status, 'Running', 1)
tell(KEYS[4], ARGV[7], ARGV[1], 'Running')
return {1, 'Running', stop, 0}
