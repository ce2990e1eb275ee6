#!lua flags=allow-oom
-- claim_run(keys=[run, header, tally, members, unpublished, unclaimed, open, commands_in_use, due,
--   due_instances, stopping, workers, claims, slots, waiting, adrift, instance, events, outbox],
--   args=[run_id, instance_id, worker, nonce, now_ms, at_once, may_wait, force, open_statuses, moves,
--   refusal_status, refusal_code, refusal_info, failures, halt_code])
--   -> [word] | [word, unclaimed, unpublished, closed] | ['held', unclaimed, unpublished, 0, run, instance, active]
-- nonce: the same call, sent again after its answer was lost, gets the same answer.
-- uses: tally slots words events caps
local run, header, tally, unclaimed = KEYS[1], KEYS[2], KEYS[3], KEYS[6]
local run_id, instance_id, worker, nonce, now_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local function off_the_queue()
  redis.call('ZREM', KEYS[9], run_id)
  if redis.call('ZREM', KEYS[5], instance_id) == 1 then redis.call('HINCRBY', header, 'published', 1) end
  redis.call('ZREM', unclaimed, run_id)
end

local function answer(word, closed)
  return {word, redis.call('ZCARD', unclaimed), redis.call('ZCARD', KEYS[5]), closed or 0}
end

local function held()
  local told = answer('held')
  told[5] = redis.call('HGETALL', run)
  told[6] = redis.call('HGETALL', KEYS[17])
  told[7] = redis.call('SCARD', KEYS[14])
  return told
end

local asked = redis.call('HMGET', header, 'stop_ms', 'halt_ms', 'halt_info', 'round')
local stop_ms, halted = asked[1], asked[2]
if not stop_ms or asked[4] or not redis.call('ZSCORE', KEYS[4], instance_id) then
  redis.call('ZREM', KEYS[9], run_id)
  return {'unknown'}
end
local is = redis.call('HMGET', run, 'status', 'phase', 'worker', 'stop', 'nonce')
local status, phase, holder = is[1] or 'Pending', is[2] or 'Queued', is[3] or ''
local stopped = stop_ms ~= '0' or is[4] == '1'
if not among(status, ARGV[9]) then
  off_the_queue()
  return answer('final')
end

local beaten = redis.call('ZSCORE', KEYS[12], worker)
if beaten and tonumber(beaten) < 0 then return {'taken'} end -- buried: it must register anew first
if holder ~= '' then
  if holder == worker and is[5] == nonce then return held() end
  local seen = redis.call('ZSCORE', KEYS[12], holder)
  if ARGV[8] ~= '1' and seen and tonumber(seen) >= 0 then
    off_the_queue()
    return {'taken'}
  end
  if phase == 'Claimed' then phase = 'Queued' end -- nothing was sent, and from now on nothing can be
end

local function finish(to, code, info)
  redis.call('HSET', run, 'status', to, 'phase', phase, 'worker', '', 'error_code', code, 'error_info', info,
    'finish_ms', now_ms, 'update_ms', now_ms)
  if stopped then redis.call('HSET', run, 'stop', 1, 'stop_ms', now_ms) end
  off_the_queue()
  redis.call('SREM', KEYS[11], run_id)
  free_slot(KEYS[14], KEYS[15], KEYS[9], run_id, now_ms)
  retally(tally, status, to, 1)
  mark_end(tally, instance_id, to)
  heed_errors(header, tally, to, ARGV[14], now_ms)
  tell(KEYS[18], ARGV[10], run_id, to)
  return ended(header, tally, KEYS[7], KEYS[8], KEYS[18], KEYS[19], 1, now_ms)
end

if stopped and phase == 'Queued' then return answer('cancelled', finish('Cancelled', '', '')) end
if halted and phase == 'Queued' then return answer('cancelled', finish('Cancelled', ARGV[15], asked[3])) end
if redis.call('ZSCORE', KEYS[5], instance_id) and room_for(1, header, tally, KEYS[5]) == 0 then
  redis.call('ZREM', KEYS[9], run_id)
  return answer('waits') -- the store forgot that it was published: its turn comes again
end
if redis.call('SISMEMBER', KEYS[14], run_id) == 0 then
  if redis.call('SCARD', KEYS[14]) >= tonumber(ARGV[6]) then
    if not redis.call('ZSCORE', KEYS[15], run_id) then
      if redis.call('ZCARD', KEYS[15]) >= tonumber(ARGV[7]) then
        return answer('refused', finish(ARGV[11], ARGV[12], ARGV[13]))
      end
      redis.call('ZADD', KEYS[15], now_ms, run_id)
    end
    off_the_queue()
    return answer('waits')
  end
  redis.call('SADD', KEYS[14], run_id)
  redis.call('ZREM', KEYS[15], run_id)
end

redis.call('HINCRBY', run, 'epoch', 1)
redis.call('HINCRBY', run, 'deliveries', 1)
redis.call('HSET', run, 'status', status, 'phase', phase == 'Queued' and 'Claimed' or phase, 'worker', worker,
  'nonce', nonce, 'update_ms', now_ms)
redis.call('SADD', KEYS[13], run_id)
if not beaten then redis.call('ZADD', KEYS[12], now_ms, worker) end
off_the_queue()
leave_adrift(KEYS[16], KEYS[10], run_id, instance_id)
return held()
