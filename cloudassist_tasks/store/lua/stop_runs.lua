#!lua flags=allow-oom
-- stop_runs(keys=[header, tally, members, unpublished, unclaimed, open, commands_in_use, due, due_instances,
--   deadlines, stopping, events, outbox, (run, slots, waiting, adrift)...],
--   args=[now_ms, deadline_ms, from_for_cancelled, from_for_stopping, moves, stops, (run_id, instance_id)...])
--   -> [[cancelled run_id...], [those of them that were published...], [told...], [adrift...], closed]
-- uses: tally slots words events
local now_ms, deadline_ms, moves, stops = ARGV[1], ARGV[2], ARGV[5], ARGV[6]
local cancelled, published, told, adrift, from, members = {}, {}, {}, {}, {}, {}

for at = 7, #ARGV, 2 do
  local run_id, instance_id = ARGV[at], ARGV[at + 1]
  local k = 14 + (at - 7) * 2
  local run, slots, waiting, loose = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  local is = redis.call('HMGET', run, 'status', 'phase', 'worker')
  local status, phase, worker = is[1] or 'Pending', is[2] or 'Queued', is[3] or ''
  if not redis.call('ZSCORE', KEYS[3], instance_id) then
    -- not of this invocation: nothing to stop
  elseif worker == '' and phase == 'Queued' and among(status, ARGV[3]) then
    redis.call('HSET', run, 'status', 'Cancelled', 'phase', phase, 'stop', 1, 'stop_ms', now_ms,
      'finish_ms', now_ms, 'update_ms', now_ms)
    from[status] = (from[status] or 0) + 1
    redis.call('ZREM', KEYS[4], instance_id)
    if redis.call('ZREM', KEYS[5], run_id) == 1 then published[#published + 1] = run_id end
    redis.call('ZREM', KEYS[8], run_id)
    redis.call('SREM', KEYS[11], run_id)
    free_slot(slots, waiting, KEYS[8], run_id, now_ms)
    tell(KEYS[12], moves, run_id, 'Cancelled')
    cancelled[#cancelled + 1] = run_id
    members[#members + 1] = instance_id
  elseif status == 'Stopping' or among(status, ARGV[4]) then
    if status ~= 'Stopping' then
      redis.call('HSET', run, 'status', 'Stopping', 'stop', 1, 'stop_ms', now_ms, 'update_ms', now_ms)
      retally(KEYS[2], status, 'Stopping', 1)
      redis.call('SADD', KEYS[11], run_id)
      tell(KEYS[12], moves, run_id, 'Stopping')
      if phase == 'Launching' then redis.call('ZADD', KEYS[10], 'GT', deadline_ms, run_id) end
    end
    if worker ~= '' then
      redis.call('PUBLISH', stops .. worker, run_id)
      told[#told + 1] = run_id
    else
      if redis.call('SISMEMBER', loose, run_id) == 1 then
        redis.call('ZADD', KEYS[9], now_ms, instance_id)
      else
        redis.call('ZADD', KEYS[8], now_ms, run_id)
      end
      adrift[#adrift + 1] = run_id
    end
  end
end

for status, n in pairs(from) do retally(KEYS[2], status, 'Cancelled', n) end
for _, instance_id in ipairs(members) do mark_end(KEYS[2], instance_id, 'Cancelled') end
local closed = ended(KEYS[1], KEYS[2], KEYS[6], KEYS[7], KEYS[12], KEYS[13], #cancelled, now_ms)
return {cancelled, published, told, adrift, closed}
