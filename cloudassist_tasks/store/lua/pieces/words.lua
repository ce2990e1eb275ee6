-- Whether `word` is one of a comma-separated list.
local function among(word, list)
  return string.find(',' .. list .. ',', ',' .. word .. ',', 1, true) ~= nil
end
