-- uses: marks
-- A new command is listed, under the next number, and carries the marks from KEYS[from] to KEYS[to].
local function keep(command, commands, last, texts, entry, text, from, to)
  local number = redis.call('INCR', last)
  redis.call('ZADD', commands, number, entry)
  redis.call('HSET', command, 'number', number)
  redis.call('HSET', texts, number, text)
  for at = from, to do mark(KEYS[at], number) end
end
