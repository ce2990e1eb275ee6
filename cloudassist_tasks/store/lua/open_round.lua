#!lua
-- open_round(keys=[header, due, open, events, asked?], args=[invoke_id, expected_ms, version, next_ms, next_tick_ms,
--   now_ms, why, at_ms, batch, missed, missed_from_ms, missed_to_ms, policy, only, boot_before, boot, last,
--   settled_ms])
--   -> [] | [round, runs, left out, [run_id...], ended]
-- One firing of a schedule, in one step. expected_ms, version: the time that was found due, and the spec that said
-- when the next one is; a schedule that is at others by now was taken or changed by somebody else, and nothing is
-- done. next_ms '': there is no next time. why '': no round, only the next time (and what was missed) is noted.
-- only: of this member alone, whose host was last seen in boot_before and is in boot now, unless it is paused; last:
-- it takes part in no further round. settled_ms: none of its times up to then comes again. The runs returned are
-- reserved: to be published.
-- asked: keeps, for a while, the number of the round that was opened for this very call: sent again, it gets the
-- same answer. (By the clock a second sending finds nothing due.)
-- uses: tally reserve missed
local header, due, now_ms = KEYS[1], KEYS[2], ARGV[6]
local invoke_id, expected, next_ms, why, missed, only = ARGV[1], ARGV[2], ARGV[4], ARGV[7], ARGV[10], ARGV[14]
local before = KEYS[5] and redis.call('GET', KEYS[5])
if before then
  local round = header .. ':r' .. before
  local was = redis.call('HMGET', round, 'total', 'skipped')
  return {tonumber(before), tonumber(was[1]) or 0, tonumber(was[2]) or 0,
    redis.call('ZRANGE', round .. ':unclaimed', 0, -1), 0}
end
local is = redis.call('HMGET', header, 'entry', 'ended', 'paused', 'command_id', 'spec', 'deliver_rounds', 'at_once',
  'max_errors', 'halt_info', 'tags', 'round', 'tick_ms')
if not is[1] or is[2] then
  redis.call('ZREM', due, invoke_id)
  return {}
end
local exhausted = false
if expected ~= '' then
  local score = redis.call('ZSCORE', due, invoke_id)
  if not score or tonumber(score) ~= tonumber(expected) or (is[5] or '0') ~= ARGV[3] then return {} end
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
  end
  redis.call('HSET', header, 'settled_ms', ARGV[18])
  if missed ~= '0' then note_missed(header, missed, ARGV[11], ARGV[12], now_ms, ARGV[13]) end
end
if why == '' then
  if next_ms ~= '' then redis.call('HSET', header, 'tick_ms', ARGV[5]) end
  return {0, 0, 0, {}, exhausted and 1 or 0}
end

if only ~= '' then
  if is[3] or not redis.call('ZSCORE', header .. ':members', only) or redis.call('ZSCORE', header .. ':left', only)
    or redis.call('ZSCORE', header .. ':busy', only) then return {} end
  if ARGV[16] ~= '' then
    if (redis.call('HGET', header .. ':boots', only) or '') ~= ARGV[15] then return {} end
    redis.call('HSET', header .. ':boots', only, ARGV[16])
  end
end

local number = (is[11] or 0) + 1
if KEYS[5] then redis.call('SET', KEYS[5], number, 'PX', 60000) end
redis.call('HSET', header, 'round', number, 'tick_ms', next_ms ~= '' and ARGV[5] or is[12] or 0)
local round, busy = header .. ':r' .. number, header .. ':busy'
local members, tally, unpublished = round .. ':members', round .. ':tally', round .. ':unpublished'
local skipped, idle = 0, redis.call('EXISTS', busy) == 0
if only ~= '' then
  redis.call('ZADD', members, 0, only)
  if ARGV[17] == '1' then redis.call('ZADD', header .. ':left', 1, only) end
elseif idle and redis.call('EXISTS', header .. ':left') == 0 then
  redis.call('COPY', header .. ':members', members)
else
  redis.call('ZDIFFSTORE', members, 3, header .. ':members', busy, header .. ':left')
  skipped = redis.call('ZDIFFSTORE', round .. ':skipped', 2, busy, header .. ':left')
end
local total = redis.call('ZCARD', members)
local at_once = total <= math.min(1000, ARGV[9]) and not is[7] and total or 0 -- published now, if that is all
local entry = string.format('%015d', now_ms) .. '.' .. invoke_id .. '.' .. number
local facts = {'entry', entry, 'command_id', is[4], 'kept', 0, 'total', total, 'published', at_once,
  'batches', math.min(at_once, 1), 'stop_ms', 0, 'finish_ms', total == 0 and now_ms or 0, 'at_ms', ARGV[8],
  'opened_ms', now_ms, 'why', why, 'skipped', skipped}
for at, name in ipairs({'spec', 'deliver', 'at_once', 'max_errors', 'halt_info', 'tags'}) do
  if is[4 + at] then
    facts[#facts + 1] = name
    facts[#facts + 1] = is[4 + at]
  end
end
redis.call('HSET', round, unpack(facts))
redis.call('ZADD', header .. ':rounds', number, number)
if total == 0 then return {number, 0, skipped, {}, exhausted and 1 or 0} end

redis.call('HSET', tally, 'Pending', total, 'open', total, 'whole', header)
if idle then
  redis.call('COPY', members, busy)
else
  redis.call('ZUNIONSTORE', busy, 2, busy, members)
end
local ids
for from = 0, total - 1, 1000 do
  ids = redis.call('ZRANGE', members, from, from + 999)
  local scored = {}
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
local taken
if at_once > 0 then
  taken = take(round .. ':unclaimed', invoke_id, ids, number, now_ms)
else
  redis.call('COPY', members, unpublished)
  taken = reserve(round, unpublished, round .. ':unclaimed', tally, invoke_id, number, tonumber(ARGV[9]), now_ms)
end
return {number, total, skipped, taken, exhausted and 1 or 0}
