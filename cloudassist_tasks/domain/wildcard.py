"""Names with `*`: `x*` begins with, `*x` ends with, `*x*` holds; without a `*` the whole name counts.

Upper and lower case differ. No other character has a meaning. Linear in the lengths, so that a filter
typed by anybody cannot hold up a listing.
"""


def matches(pattern: str, name: str) -> bool:
    """Whether the whole of `name` fits `pattern`."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    position, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
