"""Marks as they stand at one moment, and pages of the numbers that carry them.

The server hands out sets of bits, a few KB each (`lua/pieces/marks.lua`); which of them must hold is worked
out here (`bits.py`). So the server's work does not depend on how many fit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.store.bits import CHUNK_BITS, Span, below, highest, without_highest
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.link import Link


@dataclass(frozen=True, slots=True)
class Reading:
    """Marks by key. What nothing is marked with is left out."""

    span: Span
    marks: dict[str, int]

    def bits(self, mark: str) -> int:
        """Empty where nothing is marked."""
        return self.marks.get(mark, 0)

    def any_of(self, marks: Iterable[str]) -> int:
        """Those with at least one of these marks."""
        bits = 0
        for mark in marks:
            bits |= self.bits(mark)
        return bits

    def all_of(self, first: str, others: Iterable[str]) -> int:
        """Those with each of these marks."""
        bits = self.bits(first)
        for mark in others:
            bits &= self.bits(mark)
        return bits


NOTHING = Reading(Span(0, 0), {})


async def read(link: Link, marks: Sequence[str], *, only: int | None = None) -> Reading:
    """`marks`, of which the first are those that all have. With `only`, of that one number."""
    chunk = "" if only is None else str(only // CHUNK_BITS)
    replies = await link.script("read_marks", marks, [chunk])
    hashes = [hash_of(reply) for reply in replies]
    span = Span.of(hashes[0])
    if not span.count:
        return NOTHING
    found = {mark: span.bits(hash_) for mark, hash_ in zip(marks, hashes, strict=True) if hash_}
    if only is not None:
        found[marks[0]] &= 1 << span.bit(only)
    return Reading(span, found)


async def entries(link: Link, listing: str, numbers: Sequence[int]) -> Sequence[bytes | None]:
    """Of a listing that is scored by number: the entry that bears each; None if it is gone."""
    if not numbers:
        return []
    replies = await link.batch([("ZRANGE", listing, number, number, "BYSCORE") for number in numbers])
    return [reply[0] if reply else None for reply in replies]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A page of numbers, newest first."""

    items: Sequence[int]
    cursor: str
    total: int


@dataclass(frozen=True, slots=True)
class Found:
    """Those that fit, as bits of a span."""

    span: Span
    bits: int
    doubtful: int = 0
    """Those of them of which it is not known yet."""

    def keep(self, bits: int) -> "Found":
        """Only what is among `bits` too."""
        return replace(self, bits=self.bits & bits, doubtful=self.doubtful & bits)

    def behind(self, cursor: str) -> "Found":
        """What comes behind a cursor; empty: all. `Refused(BAD_NEXT_TOKEN)` for one that is none of ours."""
        if not cursor:
            return self
        if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 15):
            raise Refused(Kind.BAD_NEXT_TOKEN, "the NextToken is none of ours; begin again without it")
        return self.keep(below(self.bits, self.span.bit(int(cursor))))

    def page(self, *, limit: int, skip: int, count: bool, floor: int = 0) -> Numbers:
        """`limit` numbers behind the first `skip`; with `count`, how many there are in all. Unless they are
        counted, nothing under the bit `floor` is known, and the page ends there."""
        shown = self.bits if count else self.bits >> floor << floor
        bits = list(islice(highest(without_highest(shown, skip)), limit + 1))
        cursor = str(self.span.number(floor)) if floor and not count else ""
        if len(bits) > limit:
            bits.pop()
            cursor = str(self.span.number(bits[-1]))
        return Numbers([self.span.number(bit) for bit in bits], cursor, self.bits.bit_count() if count else 0)
