#!lua
-- open_round(keys=[header, due, open, events], args=[invoke_id, expected_ms, next_ms, next_tick_ms, now_ms, why,
--   at_ms, batch, missed, missed_from_ms, missed_to_ms, policy, only, boot_before, boot, last])
--   -> [] | [round, runs, left out, [run_id...], ended]
-- One firing of a schedule, in one step. expected_ms: the time that was found due; a schedule that is due at
-- another one by now was taken by somebody else, and nothing is done. next_ms '': there is no next time.
-- why '': no round, only the next time (and what was missed) is noted. only: of this member alone, whose host
-- was last seen in boot_before and is in boot now, unless it is paused; last: it takes part in no further round.
-- The runs returned are reserved: to be published.
-- uses: tally reserve
local header, due, now_ms = KEYS[1], KEYS[2], ARGV[5]
local invoke_id, expected, next_ms, why, missed, only = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[9], ARGV[13]
local is = redis.call('HMGET', header, 'entry', 'ended', 'paused', 'command_id', 'round')
if not is[1] or is[2] then
  redis.call('ZREM', due, invoke_id)
  return {}
end
local exhausted = false
if expected ~= '' then
  local score = redis.call('ZSCORE', due, invoke_id)
  if not score or tonumber(score) ~= tonumber(expected) then return {} end
  if is[3] then
    redis.call('ZREM', due, invoke_id)
    return {}
  end
  if next_ms == '' then
    redis.call('ZREM', due, invoke_id)
    redis.call('HSET', header, 'ended', 'exhausted')
    redis.call('ZADD', KEYS[3], 0, is[1])
    exhausted = true
  else
    redis.call('ZADD', due, next_ms, invoke_id)
    redis.call('HSET', header, 'tick_ms', ARGV[4])
  end
  if missed ~= '0' then
    redis.call('HINCRBY', header, 'missed', missed)
    redis.call('RPUSH', header .. ':missed', table.concat({missed, ARGV[10], ARGV[11], now_ms, ARGV[12]}, ' '))
    redis.call('LTRIM', header .. ':missed', -100, -1)
  end
end
if why == '' then return {0, 0, 0, {}, exhausted and 1 or 0} end

if only ~= '' then
  if is[3] or not redis.call('ZSCORE', header .. ':members', only) or redis.call('ZSCORE', header .. ':left', only)
    or redis.call('ZSCORE', header .. ':busy', only) then return {} end
  if ARGV[15] ~= '' then
    if (redis.call('HGET', header .. ':boots', only) or '') ~= ARGV[14] then return {} end
    redis.call('HSET', header .. ':boots', only, ARGV[15])
  end
end

local number = redis.call('HINCRBY', header, 'round', 1)
local round = header .. ':r' .. number
local members, tally, unpublished = round .. ':members', round .. ':tally', round .. ':unpublished'
local skipped = 0
if only ~= '' then
  redis.call('ZADD', members, 0, only)
  if ARGV[16] == '1' then redis.call('ZADD', header .. ':left', 1, only) end
else
  redis.call('ZDIFFSTORE', members, 3, header .. ':members', header .. ':busy', header .. ':left')
  skipped = redis.call('ZDIFFSTORE', round .. ':skipped', 2, header .. ':busy', header .. ':left')
end
local total = redis.call('ZCARD', members)
local entry = string.format('%015d', now_ms) .. '.' .. invoke_id .. '.' .. number
redis.call('HSET', round, 'entry', entry, 'command_id', is[4], 'kept', 0, 'total', total, 'published', 0,
  'batches', 0, 'stop_ms', 0, 'finish_ms', total == 0 and now_ms or 0, 'at_ms', ARGV[7], 'opened_ms', now_ms,
  'why', why, 'skipped', skipped)
redis.call('ZADD', header .. ':rounds', number, number)
if total == 0 then return {number, 0, skipped, {}, exhausted and 1 or 0} end
for _, name in ipairs({'deliver_rounds', 'at_once', 'max_errors', 'halt_info', 'tags', 'spec'}) do
  local value = redis.call('HGET', header, name)
  if value then redis.call('HSET', round, name == 'deliver_rounds' and 'deliver' or name, value) end
end

redis.call('HSET', tally, 'Pending', total, 'open', total, 'whole', header)
redis.call('COPY', members, unpublished)
redis.call('ZUNIONSTORE', header .. ':busy', 2, header .. ':busy', members)
for from = 0, total - 1, 1000 do
  local ids, scored = redis.call('ZRANGE', members, from, from + 999), {}
  for _, id in ipairs(ids) do
    scored[#scored + 1] = number
    scored[#scored + 1] = id
    redis.call('HINCRBY', header .. ':counts', id, 1)
  end
  redis.call('ZADD', header .. ':latest', unpack(scored))
end
retally(header .. ':tally', 'Scheduled', 'Pending', total)
redis.call('ZADD', KEYS[3], 0, entry)
redis.call('XADD', KEYS[4], '*', 'round_opened', invoke_id .. '.' .. number)
local taken = reserve(round, unpublished, round .. ':unclaimed', tally, invoke_id, number, tonumber(ARGV[8]), now_ms)
return {number, total, skipped, taken, exhausted and 1 or 0}
