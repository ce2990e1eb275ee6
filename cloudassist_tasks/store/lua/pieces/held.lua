-- The run as its holder must find it: status, whether a stop was asked for, phase; nil if the claim is
-- stale, and then the run is no longer among the worker's.
local function held(run, claims, run_id, worker, epoch)
  local is = redis.call('HMGET', run, 'status', 'stop', 'phase', 'worker', 'epoch')
  if is[4] == worker and is[5] == epoch then return is[1], is[2] == '1', is[3] end
  if is[4] ~= worker then redis.call('SREM', claims, run_id) end
  return nil, is[2] == '1', is[1] or 'Pending'
end
