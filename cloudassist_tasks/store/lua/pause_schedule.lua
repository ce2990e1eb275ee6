#!lua flags=allow-oom
-- pause_schedule(keys=[header, due], args=[invoke_id, now_ms, expected_ms, missed, missed_from_ms, missed_to_ms])
--   -> 1 | 0
-- No round follows until it goes on. expected_ms ('': none) is the time that it stands at, and missed what was not
-- fired until then. 0: it has ended, or is paused, or stands at another time.
-- uses: missed
local is = redis.call('HMGET', KEYS[1], 'ended', 'paused', 'entry')
if not is[3] or is[1] or is[2] then return 0 end
if not take_time(KEYS[1], KEYS[2], ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[2], 'paused') then return 0 end
redis.call('HSET', KEYS[1], 'paused', 1)
return 1
