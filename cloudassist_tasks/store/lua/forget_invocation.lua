#!lua flags=allow-oom
-- forget_invocation(keys=[header, spec, tally, marks...], args=[number]) -> 1
-- From here on nobody sees it; its runs and its entry are dropped after it.
-- uses: marks
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
for at = 4, #KEYS do unmark(KEYS[at], ARGV[1]) end
return 1
