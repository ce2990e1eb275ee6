-- Count `n` runs out of one status and into another.
local function retally(tally, from, to, n)
  if from ~= to and n > 0 then
    redis.call('HINCRBY', tally, from, -n)
    redis.call('HINCRBY', tally, to, n)
  end
end

-- `n` more runs are final. 1 if they were the last open ones: that is the close, once. What is to be sent
-- when it closes is due from this step on.
local function ended(header, tally, open, in_use, events, outbox, n, now_ms)
  if n == 0 or redis.call('HINCRBY', tally, 'open', -n) > 0 then return 0 end
  local facts = redis.call('HMGET', header, 'entry', 'command_id', 'kept', 'deliver')
  local invoke_id = string.match(facts[1], '%.(.+)$')
  redis.call('HSET', header, 'finish_ms', now_ms)
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
