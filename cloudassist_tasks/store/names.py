"""Names of invocations: texts of 512 lines, `<number> <name>`, in which patterns are looked for.

Any `*` may stand anywhere in a pattern, so no index of names would answer all of them; a hundred thousand
names are a few MB that the server hands out in a millisecond or two. Only those are read among which the
other filters leave anything.
"""

import re
from collections.abc import Sequence

from cloudassist_tasks.store import keys
from cloudassist_tasks.store.bits import CHUNK_BYTES
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.reading import Found


async def keep_named(link: Link, found: Found, pattern: str) -> Found:
    """Those whose name fits; an empty pattern fits all, and one of nothing but `*` too."""
    if not (pattern.strip("*") and found.bits):
        return found
    flat = found.bits.to_bytes(found.span.count * CHUNK_BYTES, "little")
    chunks = [at for at in range(found.span.count) if any(flat[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES])]
    texts = await link.call("MGET", *[keys.names(found.span.first + chunk) for chunk in chunks])
    named = bytearray(len(flat))
    for number in numbers_named(b"".join(text or b"" for text in texts), pattern):
        bit = found.span.bit(number)
        named[bit >> 3] |= 1 << (bit & 7)
    return found.keep(int.from_bytes(named, "little"))


def numbers_named(lines: bytes, pattern: str) -> Sequence[int]:
    """The numbers of the lines whose name fits, as `domain/wildcard.py` has it, in time that is linear in
    both: each part between two `*` is taken where it is first found, and never again elsewhere."""
    if "*" not in pattern:
        return _numbers_of(lines, pattern.encode("utf-8", "surrogateescape"))
    first, *rest = [re.escape(part) for part in pattern.encode("utf-8", "surrogateescape").split(b"*")]
    *middle, last = rest
    tail = b"".join(b"(?>[^\n]*?" + part + b")" for part in middle if part) + b"[^\n]*" + last
    return [int(number) for number in re.findall(b"^([0-9]+) " + first + tail + b"$", lines, re.MULTILINE)]


def _numbers_of(lines: bytes, name: bytes) -> Sequence[int]:
    """Of the lines with exactly this name: ten times as fast as by an expression."""
    numbers = []
    end = b" " + name + b"\n"
    at = lines.find(end)
    while at >= 0:
        number = lines[lines.rfind(b"\n", 0, at) + 1 : at]
        if number.isdigit():  # else the name is longer
            numbers.append(int(number))
        at = lines.find(end, at + 1)
    return numbers
