#!lua flags=allow-oom
-- unmark(keys=[marks...], args=[number]) -> 1
-- uses: marks
for at = 1, #KEYS do unmark(KEYS[at], ARGV[1]) end
return 1
