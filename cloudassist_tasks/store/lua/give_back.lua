#!lua flags=allow-oom
-- give_back(keys=[run, claims, due, due_instances, adrift],
--   args=[run_id, instance_id, worker, epoch, look_at_ms, adrift, now_ms, open_statuses]) -> 1 | 0
-- A run that was not launched is never adrift, nor is one that is to be stopped: it is due at once. The slot is
-- kept: the run is still open.
-- uses: held words
local run, run_id = KEYS[1], ARGV[1]
local status, stopped, phase = held(run, KEYS[2], run_id, ARGV[3], ARGV[4])
if not status or not among(status, ARGV[8]) then return 0 end
local launched = phase == 'Launching'
redis.call('HSET', run, 'worker', '', 'nonce', '', 'phase', launched and phase or 'Queued', 'update_ms', ARGV[7])
redis.call('SREM', KEYS[2], run_id)
if launched and ARGV[6] == '1' and not stopped then
  redis.call('SADD', KEYS[5], run_id)
  redis.call('ZADD', KEYS[4], 'LT', ARGV[5], ARGV[2])
else
  redis.call('ZADD', KEYS[3], stopped and ARGV[7] or ARGV[5], run_id)
end
return 1
