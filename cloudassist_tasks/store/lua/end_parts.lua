#!lua flags=allow-oom
-- end_parts(keys=[header, open, commands_in_use, events, outbox, due],
--   args=[invoke_id, now_ms, leave, run, final_statuses, member...]) -> [closed, [busy member, its round, ...]]
-- The parts of these members in a schedule that has ended, or (leave 1) that they leave, are over: at once, or,
-- with an open run, when that ends. `run`: where hashes of runs begin.
-- uses: tally words
local header, invoke_id = KEYS[1], ARGV[1]
local is = redis.call('HMGET', header, 'ended', 'finish_ms', 'entry')
if not is[3] or is[2] ~= '0' or not (is[1] or ARGV[3] == '1') then return {0, {}} end
local busy = {}
for at = 6, #ARGV do
  local id = ARGV[at]
  if redis.call('ZSCORE', header .. ':members', id) and redis.call('HEXISTS', header .. ':ended', id) == 0 then
    if ARGV[3] == '1' then redis.call('ZADD', header .. ':left', 0, id) end
    local round = redis.call('ZSCORE', header .. ':latest', id)
    if redis.call('ZSCORE', header .. ':busy', id) then
      busy[#busy + 1] = id
      busy[#busy + 1] = tonumber(round)
    else
      local final = round and 'Terminated' or 'Cancelled'
      if ARGV[3] ~= '1' and is[1] == 'exhausted' then
        final = round and redis.call('HGET', ARGV[4] .. invoke_id .. '.' .. id .. '.' .. round, 'status') or 'Aborted'
        if not among(final, ARGV[5]) then final = 'Aborted' end
      end
      take_leave(header, id, 'Scheduled', final)
    end
  end
end
if ARGV[3] == '1' and not is[1]
  and redis.call('ZCARD', header .. ':left') >= redis.call('ZCARD', header .. ':members') then
  redis.call('HSET', header, 'ended', 'stopped', 'stop_ms', ARGV[2])
  redis.call('ZREM', KEYS[6], invoke_id)
  redis.call('ZADD', KEYS[2], 0, is[3])
end
local closed = close_whole(header, KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[2])
return {closed, busy}
