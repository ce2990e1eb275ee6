-- The run is `to` now: said to whoever follows the events, and to whoever looks at this invocation.
local function tell(events, moves, run_id, to)
  redis.call('XADD', events, '*', 'run', run_id, 'status', to)
  redis.call('PUBLISH', moves, run_id .. ' ' .. to)
end
