-- uses: marks
-- Count `n` runs out of one status and into another. Where that was the last one, or is the first, the marks
-- of the states follow.
local function retally(tally, from, to, n)
  if from ~= to and n > 0 then
    local left = redis.call('HINCRBY', tally, from, -n)
    local there = redis.call('HINCRBY', tally, to, n)
    if left > 0 and there > n then return end
    local is = redis.call('HMGET', tally, 'number', 'marks')
    if left == 0 then unmark(is[2] .. from, is[1]) end
    if there == n then mark(is[2] .. to, is[1]) end
  end
end

-- A run has ended as `to`. Where its invocation has others too, their states leave open which is whose: so it
-- is marked for the instance; and in a large one for its place among the members.
local function mark_end(tally, instance_id, to)
  local is = redis.call('HMGET', tally, 'number', 'marks', 'many', 'members')
  if is[3] then mark(is[2] .. 'of:' .. instance_id .. ':' .. to, is[1]) end
  if is[4] then redis.call('SETBIT', is[4] .. ':' .. to, redis.call('ZSCORE', is[4], instance_id), 1) end
end

-- No run moves any more: beyond the first, how many ended in each state is marked too.
local function mark_counts(tally)
  local is, counts = {}, redis.call('HGETALL', tally)
  for at = 1, #counts, 2 do is[counts[at]] = counts[at + 1] end
  local number, marks = is.number, is.marks
  is.number, is.marks, is.many, is.members, is.open = nil, nil, nil, nil, nil
  for status, n in pairs(is) do
    if tonumber(n) > 1 then mark_number(marks .. status .. ':', tonumber(n) - 1, number) end
  end
end

-- `n` more runs are final. 1 if they were the last open ones: that is the close, once. What is to be sent
-- when it closes is due from this step on.
local function ended(header, tally, open, in_use, events, outbox, n, now_ms)
  if n == 0 or redis.call('HINCRBY', tally, 'open', -n) > 0 then return 0 end
  local facts = redis.call('HMGET', header, 'entry', 'command_id', 'kept', 'deliver')
  local invoke_id = string.match(facts[1], '%.(.+)$')
  redis.call('HSET', header, 'finish_ms', now_ms)
  mark_counts(tally)
  redis.call('ZREM', open, facts[1])
  if facts[3] == '1' and redis.call('HINCRBY', in_use, facts[2], -1) <= 0 then
    redis.call('HDEL', in_use, facts[2])
  end
  for kind in string.gmatch(facts[4] or '', '%S+') do
    redis.call('ZADD', outbox, now_ms, kind .. '.' .. invoke_id)
  end
  redis.call('XADD', events, '*', 'closed', invoke_id)
  return 1
end
