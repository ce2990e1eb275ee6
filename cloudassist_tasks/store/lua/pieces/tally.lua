-- uses: marks
local mark_end

-- Count `n` runs out of one status and into another. Where that was the last one, or is the first, the marks
-- of the states follow. A round counts for its schedule, too: what is marked is the whole.
local function retally(tally, from, to, n)
  if from == to or n == 0 then return end
  local whole = redis.call('HGET', tally, 'whole')
  if whole then
    redis.call('HINCRBY', tally, from, -n)
    redis.call('HINCRBY', tally, to, n)
    tally = whole .. ':tally'
  end
  local left = redis.call('HINCRBY', tally, from, -n)
  local there = redis.call('HINCRBY', tally, to, n)
  if left > 0 and there > n then return end
  local is = redis.call('HMGET', tally, 'number', 'marks')
  if left == 0 then unmark(is[2] .. from, is[1]) end
  if there == n then mark(is[2] .. to, is[1]) end
end

-- An instance's part in a schedule is over: counted so far as `from`, from now on as `to`.
local function take_leave(whole, instance_id, from, to)
  redis.call('HSET', whole .. ':ended', instance_id, to)
  retally(whole .. ':tally', from, to, 1)
  redis.call('HINCRBY', whole .. ':tally', 'open', -1)
  mark_end(whole .. ':tally', instance_id, to)
end

-- The instance's run in a round has ended, and is counted, as `to`: in the whole it waits for the next one,
-- unless there is none.
local function rest(whole, instance_id, to)
  redis.call('ZREM', whole .. ':busy', instance_id)
  local why = redis.call('HGET', whole, 'ended')
  local left = redis.call('ZSCORE', whole .. ':left', instance_id)
  if left then why = left == '0' and 'stopped' or 'exhausted' end
  if not why then
    retally(whole .. ':tally', to, 'Scheduled', 1)
  elseif why == 'stopped' and to == 'Cancelled'
    and tonumber(redis.call('HGET', whole .. ':counts', instance_id) or 0) > 1 then
    take_leave(whole, instance_id, to, 'Terminated') -- it ran before
  else
    take_leave(whole, instance_id, to, to)
  end
end

-- A run has ended, and is counted, as `to`. Where its invocation has others too, their states leave open which
-- is whose: so it is marked for the instance; and in a large one for its place among the members.
mark_end = function(tally, instance_id, to)
  local is = redis.call('HMGET', tally, 'number', 'marks', 'many', 'members', 'whole')
  if is[5] then return rest(is[5], instance_id, to) end
  if is[3] then mark(is[2] .. 'of:' .. instance_id .. ':' .. to, is[1]) end
  if is[4] then redis.call('SETBIT', is[4] .. ':' .. to, redis.call('ZSCORE', is[4], instance_id), 1) end
end

-- No run moves any more: beyond the first, how many ended in each state is marked too.
local function mark_counts(tally)
  local is, counts = {}, redis.call('HGETALL', tally)
  for at = 1, #counts, 2 do is[counts[at]] = counts[at + 1] end
  local number, marks = is.number, is.marks
  if not number then return end -- of a round
  is.number, is.marks, is.many, is.members, is.open = nil, nil, nil, nil, nil
  for status, n in pairs(is) do
    if tonumber(n) > 1 then mark_number(marks .. status .. ':', tonumber(n) - 1, number) end
  end
end

-- What is to be sent when it closes is due from this step on.
local function close(header, tally, open, in_use, events, outbox, now_ms, word)
  local facts = redis.call('HMGET', header, 'entry', 'command_id', 'kept', 'deliver', 'listed')
  local id = string.match(facts[1], '%.(.+)$')
  redis.call('HSET', header, 'finish_ms', now_ms)
  mark_counts(tally)
  redis.call('ZREM', open, facts[1])
  if facts[5] then redis.call('ZREM', facts[5], facts[1]) end
  if facts[3] == '1' and redis.call('HINCRBY', in_use, facts[2], -1) <= 0 then
    redis.call('HDEL', in_use, facts[2])
  end
  for kind in string.gmatch(facts[4] or '', '%S+') do
    redis.call('ZADD', outbox, now_ms, kind .. '.' .. id)
  end
  redis.call('XADD', events, '*', word, id)
end

-- The schedule closes if the part of every member is over.
local function close_whole(whole, open, in_use, events, outbox, now_ms)
  if redis.call('HGET', whole, 'finish_ms') ~= '0' then return 0 end
  if tonumber(redis.call('HGET', whole .. ':tally', 'open')) > 0 then return 0 end
  close(whole, whole .. ':tally', open, in_use, events, outbox, now_ms, 'closed')
  return 1
end

-- `n` more runs are final, and marked so. 1 if they were the last open ones: that is the close, once; of a
-- round perhaps also that of its schedule.
local function ended(header, tally, open, in_use, events, outbox, n, now_ms)
  if n == 0 then return 0 end
  local whole, closed = redis.call('HGET', tally, 'whole'), 0
  if redis.call('HINCRBY', tally, 'open', -n) <= 0 then
    close(header, tally, open, in_use, events, outbox, now_ms, whole and 'round_closed' or 'closed')
    closed = 1
  end
  if whole then close_whole(whole, open, in_use, events, outbox, now_ms) end
  return closed
end
