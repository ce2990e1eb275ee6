-- Times that passed while no beat was up are counted, and the newest 100 records of them kept.
-- done: what became of them (skip, once), or why nothing did (paused, changed).
local function note_missed(header, count, first_ms, last_ms, now_ms, done)
  redis.call('HINCRBY', header, 'missed', count)
  redis.call('RPUSH', header .. ':missed', table.concat({count, first_ms, last_ms, now_ms, done}, ' '))
  redis.call('LTRIM', header .. ':missed', -100, -1)
end

-- Takes the next time of a schedule away, which is expected_ms ('': it has none), and notes what was missed until
-- then. False, and nothing done: it stands at another by now, or what has come due is neither fired nor missed.
local function take_time(header, due, invoke_id, expected_ms, missed, first_ms, last_ms, now_ms, done)
  local score = redis.call('ZSCORE', due, invoke_id)
  if tonumber(score or -1) ~= tonumber(expected_ms == '' and -1 or expected_ms) then return false end
  if not score then return true end
  if tonumber(score) <= tonumber(now_ms) and missed == '0' then return false end
  if missed ~= '0' then
    note_missed(header, missed, first_ms, last_ms, now_ms, done)
    redis.call('HSET', header, 'settled_ms', last_ms)
  end
  redis.call('ZREM', due, invoke_id)
  return true
end
