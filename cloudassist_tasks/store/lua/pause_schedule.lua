#!lua flags=allow-oom
-- pause_schedule(keys=[header, due], args=[invoke_id, paused, next_ms, tick_ms, now_ms, expected_ms, missed,
--   missed_from_ms, missed_to_ms]) -> 1 | 0
-- paused '1': no round follows until it goes on; expected_ms ('': none) is the time that it stands at, and missed what
-- was not fired until then. '': it goes on, next_ms being its next time or ''. 0: it has ended, or nothing changes,
-- or it stands at another time.
-- uses: missed
local is = redis.call('HMGET', KEYS[1], 'ended', 'paused', 'entry')
if not is[3] or is[1] or (is[2] or '') == ARGV[2] then return 0 end
if ARGV[2] == '1' then
  if not take_time(KEYS[1], KEYS[2], ARGV[1], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[5], 'paused') then return 0 end
  redis.call('HSET', KEYS[1], 'paused', 1)
else
  redis.call('HDEL', KEYS[1], 'paused')
  redis.call('HSET', KEYS[1], 'resumed_ms', ARGV[5])
  if ARGV[3] ~= '' then
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
    redis.call('HSET', KEYS[1], 'tick_ms', ARGV[4])
  end
end
return 1
