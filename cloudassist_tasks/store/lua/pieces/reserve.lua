-- uses: caps
-- Runs of these instances are to be published now; their ids. `behind` stands behind the instance in each: the round.
local function take(unclaimed, invoke_id, ids, behind, now_ms)
  local taken, scored = {}, {}
  for at, id in ipairs(ids) do
    taken[at] = invoke_id .. '.' .. id .. '.' .. behind
    scored[2 * at - 1] = now_ms
    scored[2 * at] = taken[at]
  end
  redis.call('ZADD', unclaimed, unpack(scored))
  return taken
end

-- Take the next runs to publish, at most `room` (and 1,000) and no more than the cap has room for; their ids.
local function reserve(header, unpublished, unclaimed, tally, invoke_id, behind, room, now_ms)
  room = room_for(math.min(room, 1000), header, tally, unpublished)
  if room <= 0 then return {} end
  local popped, ids = redis.call('ZPOPMIN', unpublished, room), {}
  for at = 1, #popped, 2 do ids[#ids + 1] = popped[at] end
  if #ids == 0 then return {} end
  redis.call('HINCRBY', header, 'published', #ids)
  redis.call('HINCRBY', header, 'batches', 1)
  return take(unclaimed, invoke_id, ids, behind, now_ms)
end
