#!lua flags=allow-oom
-- finish_run(keys=[run, claims, output, header, tally, open, commands_in_use, due, due_instances, deadlines,
--   stopping, slots, waiting, adrift, instance, events, outbox, unpublished],
--   args=[run_id, instance_id, worker, epoch, nonce, status, error_code, error_info, exit_code, head, tail,
--   total, dropped, start_ms, finish_ms, now_ms, next_due_ms, from, moves, failures])
--   -> [done, status, stop, stale, closed, next run_id or '', capped]
-- capped: 1 if others wait for this one to be no longer in hand, or if from this step on no other begins.
-- nonce: the same call, made again after its answer was lost, gets the same answer.
-- uses: held words tally slots events caps
local run, run_id, to, now_ms = KEYS[1], ARGV[1], ARGV[6], ARGV[16]
local status, stopped, rest = held(run, KEYS[2], run_id, ARGV[3], ARGV[4])
local stop = stopped and 1 or 0
if not status then return {0, rest, stop, 1, 0, '', 0} end

local function recorded(as, closed, next_)
  local is = redis.call('HMGET', KEYS[4], 'at_once', 'halt_ms')
  local capped = is[2] == now_ms or (is[1] and redis.call('ZCARD', KEYS[18]) > 0)
  return {1, as, stop, 0, closed, next_, capped and 1 or 0}
end

if not among(status, ARGV[18]) then
  local last = redis.call('HMGET', run, 'nonce', 'closed', 'next')
  if last[1] == ARGV[5] then return recorded(status, tonumber(last[2]), last[3]) end
  return {0, status, stop, 0, 0, '', 0}
end

if ARGV[12] ~= '0' then
  redis.call('HSET', KEYS[3], 'head', ARGV[10], 'tail', ARGV[11], 'total', ARGV[12])
end
redis.call('SREM', KEYS[2], run_id)
redis.call('ZREM', KEYS[10], run_id)
redis.call('SREM', KEYS[11], run_id)
local next_ = free_slot(KEYS[12], KEYS[13], KEYS[8], run_id, ARGV[17]) or ''
if redis.call('EXISTS', KEYS[15]) == 1 then redis.call('HINCRBY', KEYS[15], 'finished_runs', 1) end
retally(KEYS[5], status, to, 1)
mark_end(KEYS[5], ARGV[2], to)
heed_errors(KEYS[4], KEYS[5], to, ARGV[20], now_ms)
tell(KEYS[16], ARGV[19], run_id, to)
local closed = ended(KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[16], KEYS[17], 1, now_ms)
local facts = {'status', to, 'finish_ms', ARGV[15], 'update_ms', now_ms, 'nonce', ARGV[5], 'closed', closed,
  'next', next_, 'output_bytes', ARGV[12]}
local function also(name, value, unless)
  if value ~= unless then
    facts[#facts + 1] = name
    facts[#facts + 1] = value
  end
end
also('error_code', ARGV[7], '')
also('error_info', ARGV[8], '')
also('exit_code', ARGV[9], '')
also('dropped', ARGV[13], '0')
also('start_ms', ARGV[14], '0')
redis.call('HSET', run, unpack(facts))
return recorded(to, closed, next_)
