#!lua flags=allow-oom
-- read_parts(keys=[latest, counts, ended...], args=[run, status|all, invoke_id, member...])
--   -> [[round, count, end, what the hash of the newest run holds]...]
-- `run`: where hashes of runs begin. All at one moment: a part that is over shows the run that it ended with.
local read = {}
for at = 1, #KEYS / 3 do
  local invoke_id, id = ARGV[2 * at + 1], ARGV[2 * at + 2]
  local round = redis.call('ZSCORE', KEYS[3 * at - 2], id)
  local run = {}
  if round then
    local key = ARGV[1] .. invoke_id .. '.' .. id .. '.' .. round
    if ARGV[2] == 'all' then
      run = redis.call('HGETALL', key)
    else
      run = {'status', redis.call('HGET', key, 'status') or 'Pending'}
    end
  end
  read[at] = {
    tonumber(round or 0), tonumber(redis.call('HGET', KEYS[3 * at - 1], id) or 0),
    redis.call('HGET', KEYS[3 * at], id), run
  }
end
return read
