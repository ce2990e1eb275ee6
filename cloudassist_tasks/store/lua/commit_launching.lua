#!lua flags=allow-oom
-- commit_launching(keys=[run, claims, header, deadlines, instance, boots],
--   args=[run_id, worker, epoch, boot_id, deadline_ms, now_ms, from]) -> [done, status, stop, stale]
-- uses: held words
local function instance_of(run_id) return string.match(run_id, '^[^.]+%.(.+)%.%d+$') end
local run_id, now_ms = ARGV[1], ARGV[6]
local status, stopped, rest = held(KEYS[1], KEYS[2], run_id, ARGV[2], ARGV[3])
if not status then return {0, rest, stopped and 1 or 0, 1} end
stopped = stopped or redis.call('HGET', KEYS[3], 'stop_ms') ~= '0'
if stopped or not among(status, ARGV[7]) then return {0, status, stopped and 1 or 0, 0} end
redis.call('HSET', KEYS[1], 'phase', 'Launching', 'boot_id', ARGV[4], 'launch_ms', now_ms, 'update_ms', now_ms)
redis.call('ZADD', KEYS[4], ARGV[5], run_id)
if redis.call('EXISTS', KEYS[5]) == 1 then
  if redis.call('HGET', KEYS[5], 'boot_id') ~= ARGV[4] then
    redis.call('ZADD', KEYS[6], 'XX', 'LT', now_ms, instance_of(run_id)) -- whoever waits for its boot looks
  end
  redis.call('HSET', KEYS[5], 'last_invoked_ms', now_ms, 'boot_id', ARGV[4], 'boot_seen_ms', now_ms)
end
return {1, status, 0, 0}
