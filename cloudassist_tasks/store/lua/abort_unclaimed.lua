#!lua flags=allow-oom
-- abort_unclaimed(keys=[header, tally, members, unpublished, unclaimed, open, commands_in_use, due, stopping,
--   events, outbox, (run, slots, waiting)...],
--   args=[now_ms, from, status, error_code, error_info, moves, failures, (run_id, instance_id)...]) -> closed
-- uses: tally slots words events caps
local now_ms, to, moves = ARGV[1], ARGV[3], ARGV[6]
local from, members = {}, {}

for at = 8, #ARGV, 2 do
  local run_id, instance_id = ARGV[at], ARGV[at + 1]
  local k = 12 + (at - 8) / 2 * 3
  local run, slots, waiting = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local is = redis.call('HMGET', run, 'status', 'phase', 'worker')
  local status, phase, worker = is[1] or 'Pending', is[2] or 'Queued', is[3] or ''
  if worker == '' and phase == 'Queued' and among(status, ARGV[2])
    and redis.call('ZSCORE', KEYS[3], instance_id) then
    redis.call('HSET', run, 'status', to, 'phase', phase, 'error_code', ARGV[4], 'error_info', ARGV[5],
      'finish_ms', now_ms, 'update_ms', now_ms)
    from[status] = (from[status] or 0) + 1
    members[#members + 1] = instance_id
    redis.call('ZREM', KEYS[4], instance_id)
    redis.call('ZREM', KEYS[5], run_id)
    redis.call('ZREM', KEYS[8], run_id)
    redis.call('SREM', KEYS[9], run_id)
    free_slot(slots, waiting, KEYS[8], run_id, now_ms)
    tell(KEYS[10], moves, run_id, to)
  end
end

for status, n in pairs(from) do retally(KEYS[2], status, to, n) end
for _, instance_id in ipairs(members) do mark_end(KEYS[2], instance_id, to) end
heed_errors(KEYS[1], KEYS[2], to, ARGV[7], now_ms)
return ended(KEYS[1], KEYS[2], KEYS[6], KEYS[7], KEYS[10], KEYS[11], #members, now_ms)
