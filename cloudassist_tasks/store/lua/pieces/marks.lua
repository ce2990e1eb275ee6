-- Marks: a hash of bits, one per invocation (or command) that has some property. Field: its number / 512;
-- value: up to 64 bytes, lowest bit first, without zero bytes at the end.
local function spot(number)
  local rest = number % 512
  return (number - rest) / 512, (rest - rest % 8) / 8 + 1, bit.lshift(1, rest % 8)
end

local function marked(marks, number)
  local chunk, at, flag = spot(tonumber(number))
  local byte = string.byte(redis.call('HGET', marks, chunk) or '', at)
  return byte ~= nil and bit.band(byte, flag) ~= 0
end

local function mark(marks, number)
  local chunk, at, flag = spot(tonumber(number))
  local bytes = redis.call('HGET', marks, chunk) or ''
  if #bytes < at then bytes = bytes .. string.rep('\0', at - #bytes) end
  local byte = bit.bor(string.byte(bytes, at), flag)
  redis.call('HSET', marks, chunk, string.sub(bytes, 1, at - 1) .. string.char(byte) .. string.sub(bytes, at + 1))
end

local function unmark(marks, number)
  local chunk, at, flag = spot(tonumber(number))
  local bytes = redis.call('HGET', marks, chunk) or ''
  if #bytes < at then return end
  local byte = bit.band(string.byte(bytes, at), 255 - flag)
  bytes = string.sub(bytes, 1, at - 1) .. string.char(byte) .. string.sub(bytes, at + 1)
  local last = #bytes
  while last > 0 and string.byte(bytes, last) == 0 do last = last - 1 end
  if last == 0 then
    redis.call('HDEL', marks, chunk)
  else
    redis.call('HSET', marks, chunk, string.sub(bytes, 1, last))
  end
end

-- Mark the powers of two that `n` is made of, each in a hash of its own: `<marks>0`, `<marks>1`, ...
local function mark_number(marks, n, number)
  local power = 0
  while n > 0 do
    if n % 2 == 1 then mark(marks .. power, number) end
    n, power = (n - n % 2) / 2, power + 1
  end
end
