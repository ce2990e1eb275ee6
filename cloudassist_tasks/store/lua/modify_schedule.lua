#!lua
-- modify_schedule(keys=[header, spec, tally, members, due, boots, marks of the command, commands_in_use,
--   more_members..., marks of the instances...], args=[invoke_id, version, spec, next_ms, tick_ms, now_ms, at_boot,
--   powers, command_id, member...]) -> 1 | 0
-- version: that of the new spec, one more than the one that holds. next_ms '': the next time stays.
-- uses: tally boots
local is = redis.call('HMGET', KEYS[1], 'ended', 'finish_ms', 'spec', 'number', 'total', 'paused', 'command_id', 'kept')
if not is[2] or is[1] or is[2] ~= '0' then return 0 end
if tonumber(is[3] or 0) + 1 ~= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[1], 'spec', ARGV[2])
mark(KEYS[7], is[4])
if is[7] ~= ARGV[9] then
  redis.call('HSET', KEYS[1], 'command_id', ARGV[9])
  if is[8] == '1' then
    redis.call('HSET', KEYS[1], 'kept', 0) -- the new one is not kept
    if redis.call('HINCRBY', KEYS[8], is[7], -1) <= 0 then redis.call('HDEL', KEYS[8], is[7]) end
  end
end
if ARGV[4] ~= '' and not is[6] then
  redis.call('ZADD', KEYS[5], 'XX', ARGV[4], ARGV[1])
  redis.call('HSET', KEYS[1], 'tick_ms', ARGV[5])
end
local before, powers, added = tonumber(is[5]), tonumber(ARGV[8]), 0
for at = 10, #ARGV do
  if redis.call('ZADD', KEYS[4], 'NX', before + added, ARGV[at]) == 1 then
    added = added + 1
    mark(KEYS[9 + powers + at - 10], is[4])
    if ARGV[7] == '1' then
      await_boot(KEYS[6], ARGV[at], ARGV[1], ARGV[6])
      redis.call('HSET', KEYS[1] .. ':boots', ARGV[at], '@' .. ARGV[6])
    end
  end
end
if added == 0 then return 1 end
redis.call('HSET', KEYS[1], 'total', before + added)
redis.call('HINCRBY', KEYS[3], 'open', added)
if redis.call('HINCRBY', KEYS[3], 'Scheduled', added) == added then
  mark(redis.call('HGET', KEYS[3], 'marks') .. 'Scheduled', is[4])
end
local function bit_of(n, power) return math.floor(n / 2 ^ power) % 2 end
for power = 0, powers - 1 do
  local was, now = bit_of(before - 1, power), bit_of(before + added - 1, power)
  if was == 1 and now == 0 then unmark(KEYS[9 + power], is[4]) end
  if was == 0 and now == 1 then mark(KEYS[9 + power], is[4]) end
end
return 1
