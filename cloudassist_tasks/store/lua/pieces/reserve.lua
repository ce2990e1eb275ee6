-- uses: caps
-- Take the next runs to publish, at most `room` and no more than the cap has room for; their ids. `behind`
-- stands behind the instance in each: the round.
local function reserve(header, unpublished, unclaimed, tally, invoke_id, behind, room, now_ms)
  room = room_for(room, header, tally, unpublished)
  if room <= 0 then return {} end
  local popped = redis.call('ZPOPMIN', unpublished, room)
  local taken = {}
  for at = 1, #popped, 2 do
    local run_id = invoke_id .. '.' .. popped[at] .. '.' .. behind
    redis.call('ZADD', unclaimed, now_ms, run_id)
    taken[#taken + 1] = run_id
  end
  if #taken > 0 then
    redis.call('HINCRBY', header, 'published', #taken)
    redis.call('HINCRBY', header, 'batches', 1)
  end
  return taken
end
