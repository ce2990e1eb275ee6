-- uses: words
-- How many more runs of the invocation may be taken in hand, at most `n`. In hand is what is neither final
-- nor still to be published.
local function room_for(n, header, tally, unpublished)
  local at_once = redis.call('HGET', header, 'at_once')
  if not at_once then return n end
  local in_hand = redis.call('HGET', tally, 'open') - redis.call('ZCARD', unpublished)
  return math.max(0, math.min(n, at_once - in_hand))
end

-- A run has ended as `to`. If one more than may fail has failed now, no other begins from this step on.
local function heed_errors(header, tally, to, failures, now_ms)
  if not among(to, failures) then return end
  local is = redis.call('HMGET', header, 'max_errors', 'halt_ms')
  if not is[1] or is[2] then return end
  local failed = 0
  for status in string.gmatch(failures, '[^,]+') do
    failed = failed + (redis.call('HGET', tally, status) or 0)
  end
  if failed > tonumber(is[1]) then redis.call('HSET', header, 'halt_ms', now_ms) end
end
