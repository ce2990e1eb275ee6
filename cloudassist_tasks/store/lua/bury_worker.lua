#!lua flags=allow-oom
-- bury_worker(keys=[workers, claims, info, due, due_instances, (run, adrift)...],
--   args=[worker, before_ms, now_ms, forget_ms, (run_id, instance_id)...]) -> [taken, left]
-- left -1: it has come back. With none left the worker is buried: it must register before it claims again.
-- Graves older than forget_ms go.
local worker, now_ms = ARGV[1], ARGV[3]
local score = redis.call('ZSCORE', KEYS[1], worker)
if not score or tonumber(score) < 0 then return {0, 0} end
if tonumber(score) >= tonumber(ARGV[2]) then return {0, -1} end
local taken = 0
for at = 5, #ARGV, 2 do
  local run_id, instance_id, run, adrift = ARGV[at], ARGV[at + 1], KEYS[at + 1], KEYS[at + 2]
  if redis.call('SREM', KEYS[2], run_id) == 1 then
    local is = redis.call('HMGET', run, 'worker', 'phase')
    if is[1] == worker then
      taken = taken + 1
      redis.call('HSET', run, 'worker', '', 'nonce', '', 'update_ms', now_ms)
      if is[2] == 'Launching' then
        redis.call('SADD', adrift, run_id)
        redis.call('ZADD', KEYS[5], 'LT', now_ms, instance_id)
      else
        redis.call('HSET', run, 'phase', 'Queued')
        redis.call('ZADD', KEYS[4], now_ms, run_id)
      end
    end
  end
end
local left = redis.call('SCARD', KEYS[2])
if left == 0 then
  redis.call('ZADD', KEYS[1], -tonumber(now_ms), worker)
  redis.call('DEL', KEYS[3])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-' .. ARGV[4], '(0')
end
return {taken, left}
