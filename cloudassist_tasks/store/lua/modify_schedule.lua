#!lua
-- modify_schedule(keys=[header, spec, tally, members, due, boots, marks of the command, commands_in_use, token,
--   command, commands, last_command, texts, marks of the command that is kept..., more_members..., marks of the
--   instances...], args=[invoke_id, version, spec, next_ms, tick_ms, now_ms, at_boot, powers, command_id,
--   request_hash, token_ttl_ms, command_quota, command_entry, command_doc, command_content, command_text,
--   of_command, expected_ms, missed, missed_from_ms, missed_to_ms, member...]) -> 1 | 0 | -1
-- version: of the spec that holds; spec '': it stays, else this one is the next. next_ms '': the next time stays;
-- else expected_ms ('': none) is the one that it stands at, and missed what was not fired until then.
-- request_hash '': there is no token. 0: nothing is done, since another version holds, it has ended, or the
-- token was used, or it stands at another time. command_quota 0: the command is none that this step is to keep;
-- -1: too many are kept already.
-- uses: tally boots kept missed
local now_ms, powers, command_id, hash, quota = ARGV[6], tonumber(ARGV[8]), ARGV[9], ARGV[10], tonumber(ARGV[12])
local FIRST, POWERS = 22, 14 + tonumber(ARGV[17])
if hash ~= '' and tonumber(redis.call('HGET', KEYS[9], 'until_ms') or 0) > tonumber(now_ms) then return 0 end
local is = redis.call('HMGET', KEYS[1], 'ended', 'finish_ms', 'spec', 'number', 'total', 'paused', 'command_id', 'kept')
if not is[2] or is[1] or is[2] ~= '0' then return 0 end
if tonumber(is[3] or 0) ~= tonumber(ARGV[2]) then return 0 end
if quota > 0 and redis.call('ZCARD', KEYS[11]) >= quota then return -1 end
local is_retimed = ARGV[4] ~= '' and not is[6]
if is_retimed and not take_time(KEYS[1], KEYS[5], ARGV[1], ARGV[18], ARGV[19], ARGV[20], ARGV[21], now_ms, 'changed')
then return 0 end
if quota > 0 then
  keep(KEYS[10], KEYS[11], KEYS[12], KEYS[13], ARGV[13], ARGV[16], 14, POWERS - 1)
  redis.call('HSET', KEYS[10], 'entry', ARGV[13], 'doc', ARGV[14], 'content', ARGV[15], 'uses', 1)
end

-- The command that was replaced is in use as long as a round with it is open.
local function replace(old)
  redis.call('HSET', KEYS[1], 'command_id', command_id)
  if is[8] ~= '1' then return end
  if quota > 0 then redis.call('HINCRBY', KEYS[8], command_id, 1) else redis.call('HSET', KEYS[1], 'kept', 0) end
  for _, number in ipairs(redis.call('ZRANGE', KEYS[1] .. ':rounds', 0, -1)) do
    local round = KEYS[1] .. ':r' .. number
    local at = redis.call('HMGET', round, 'finish_ms', 'command_id')
    if at[1] == '0' and at[2] == old then
      redis.call('HSET', round, 'kept', 1)
      redis.call('HINCRBY', KEYS[8], old, 1)
    end
  end
  if redis.call('HINCRBY', KEYS[8], old, -1) <= 0 then redis.call('HDEL', KEYS[8], old) end
end

if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3])
  redis.call('HSET', KEYS[1], 'spec', ARGV[2] + 1)
  mark(KEYS[7], is[4])
  if is[7] ~= command_id then replace(is[7]) end
end
if is_retimed then
  redis.call('ZADD', KEYS[5], ARGV[4], ARGV[1])
  redis.call('HSET', KEYS[1], 'tick_ms', ARGV[5])
end
if hash ~= '' then
  redis.call('HSET', KEYS[9], 'request_hash', hash, 'invoke_id', ARGV[1], 'command_id', command_id,
    'until_ms', tonumber(now_ms) + tonumber(ARGV[11]))
  redis.call('PEXPIRE', KEYS[9], ARGV[11])
end
local before, added = tonumber(is[5]), 0
for at = FIRST, #ARGV do
  if redis.call('ZADD', KEYS[4], 'NX', before + added, ARGV[at]) == 1 then
    added = added + 1
    mark(KEYS[POWERS + powers + at - FIRST], is[4])
    if ARGV[7] == '1' then
      await_boot(KEYS[6], ARGV[at], ARGV[1], now_ms)
      redis.call('HSET', KEYS[1] .. ':boots', ARGV[at], '@' .. now_ms)
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
  if was == 1 and now == 0 then unmark(KEYS[POWERS + power], is[4]) end
  if was == 0 and now == 1 then mark(KEYS[POWERS + power], is[4]) end
end
return 1
