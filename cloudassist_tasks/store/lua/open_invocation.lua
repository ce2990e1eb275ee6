#!lua
-- open_invocation(keys=[header, spec, tally, members, unpublished, by_number, open, command, commands,
--   commands_in_use, last_number, day, token, events, last_command, texts, marks of the command..., marks...],
--   args=[invoke_id, command_id, entry, now_ms, daily_quota, kept, request_hash, token_ttl_ms, spec,
--   command_quota, command_entry, command_doc, command_content, deliver, names, name, marks_of_runs, text,
--   of_command, at_once, max_errors, halt_info, first_status, schedules, due_schedules, due_ms, tick_ms, boots,
--   member...])
--   -> ['opened'] | ['repeated', invoke_id, command_id] | ['reused'] | ['quota'] | ['command_quota']
--    | ['no_command']
-- request_hash '' means that there is no token. deliver: what is to be sent at the close, kinds with blanks
-- between. command_quota 0: the command is not to be kept by this step. marks: what it is found by;
-- the first `of_command` are for the command that is kept by this step. at_once, max_errors: how many runs may
-- be in hand at once, and fail, or ''; halt_info: what is said of those that then do not begin. schedules to
-- tick_ms: of what runs again by itself, else ''; due_ms: its first time, boots: it waits for boots of its
-- members instead.
-- uses: marks kept boots
local invoke_id, command_id, entry, now_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local kept, request_hash, ttl_ms = ARGV[6] == '1', ARGV[7], tonumber(ARGV[8])
local quota, scheduled, FIRST = tonumber(ARGV[10]), ARGV[24] ~= '', 29

if request_hash ~= '' then
  local earlier = redis.call('HMGET', KEYS[13], 'request_hash', 'invoke_id', 'command_id', 'until_ms')
  if earlier[1] and tonumber(earlier[4]) > tonumber(now_ms) then
    if earlier[1] ~= request_hash then return {'reused'} end
    if earlier[2] ~= invoke_id then return {'repeated', earlier[2], earlier[3]} end
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'opened'} end -- the same call, sent again
if tonumber(redis.call('GET', KEYS[12]) or 0) >= tonumber(ARGV[5]) then return {'quota'} end
if quota > 0 then
  if redis.call('EXISTS', KEYS[8]) == 0 then
    if redis.call('ZCARD', KEYS[9]) >= quota then return {'command_quota'} end
    keep(KEYS[8], KEYS[9], KEYS[15], KEYS[16], ARGV[11], ARGV[18], 17, 16 + tonumber(ARGV[19]))
    redis.call('HSET', KEYS[8], 'entry', ARGV[11], 'doc', ARGV[12], 'content', ARGV[13])
  end
elseif kept and redis.call('EXISTS', KEYS[8]) == 0 then
  return {'no_command'}
end

local total = #ARGV - FIRST + 1
for from = FIRST, #ARGV, 1000 do
  local pairs_ = {}
  for at = from, math.min(from + 999, #ARGV) do
    pairs_[#pairs_ + 1] = at - FIRST
    pairs_[#pairs_ + 1] = ARGV[at]
  end
  redis.call('ZADD', KEYS[4], unpack(pairs_))
end
if not scheduled then redis.call('COPY', KEYS[4], KEYS[5]) end

local number = redis.call('INCR', KEYS[11])
for at = 17 + tonumber(ARGV[19]), #KEYS do mark(KEYS[at], number) end
if ARGV[16] ~= '' then
  redis.call('APPEND', ARGV[15] .. ':' .. (number - number % 512) / 512, number .. ' ' .. ARGV[16] .. '\n')
end

redis.call('HSET', KEYS[1], 'entry', entry, 'command_id', command_id, 'kept', kept and '1' or '0',
  'total', total, 'published', 0, 'batches', 0, 'stop_ms', 0, 'finish_ms', 0, 'number', number)
if ARGV[14] ~= '' then redis.call('HSET', KEYS[1], scheduled and 'deliver_rounds' or 'deliver', ARGV[14]) end
if ARGV[20] ~= '' then redis.call('HSET', KEYS[1], 'at_once', ARGV[20]) end
if ARGV[21] ~= '' then redis.call('HSET', KEYS[1], 'max_errors', ARGV[21], 'halt_info', ARGV[22]) end
redis.call('SET', KEYS[2], ARGV[9])
redis.call('HSET', KEYS[3], ARGV[23], total, 'open', total, 'number', number, 'marks', ARGV[17])
if total > 1 or scheduled then redis.call('HSET', KEYS[3], 'many', 1) end
if total > 200 or scheduled then redis.call('HSET', KEYS[3], 'members', KEYS[4]) end
redis.call('ZADD', KEYS[6], number, entry)
if scheduled then
  redis.call('ZADD', ARGV[24], 0, entry)
  redis.call('HSET', KEYS[1], 'listed', ARGV[24], 'round', 0, 'tick_ms', ARGV[27])
  if ARGV[26] ~= '' then redis.call('ZADD', ARGV[25], ARGV[26], invoke_id) end
  if ARGV[28] ~= '' then
    for at = FIRST, #ARGV do await_boot(ARGV[28], ARGV[at], invoke_id, now_ms) end
  end
else
  redis.call('ZADD', KEYS[7], 0, entry)
end
if kept then
  redis.call('HINCRBY', KEYS[8], 'uses', 1)
  redis.call('HINCRBY', KEYS[10], command_id, 1)
end
redis.call('XADD', KEYS[14], '*', 'opened', invoke_id)
redis.call('INCR', KEYS[12])
redis.call('EXPIRE', KEYS[12], 691200)
if request_hash ~= '' then
  redis.call('HSET', KEYS[13], 'request_hash', request_hash, 'invoke_id', invoke_id, 'command_id', command_id,
    'until_ms', tonumber(now_ms) + ttl_ms)
  redis.call('PEXPIRE', KEYS[13], ttl_ms)
end
return {'opened'}
