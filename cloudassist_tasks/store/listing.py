"""Which invocations fit a filter: the marks of its facets are read in one step, the rest is arithmetic.

The server hands out sets of bits, a few KB each; `&`, `|` and `~` happen here (`bits.py`). So the server's
work does not depend on how many invocations fit, and any filters may be combined, denied and counted.
Two questions need more than marks: names are read where the other filters leave something, and the state
of one instance's run is read where the states of its whole invocation leave it open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.ports.listing import ANY_STATUS, InvocationFilter, RunPlace
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.bits import CHUNK_BITS, Span, below, classes, highest, without_highest
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.mapping import hash_of

LOOKED_AT = 5_000
"""The most runs of one instance that one page looks at; a page by token then comes short and goes on."""

AT_ONCE = 250
"""How many of them in one round trip."""

STATUSES = tuple(RunStatus)


@dataclass(frozen=True, slots=True)
class Found:
    """The invocations that fit, as bits of a span."""

    span: Span
    bits: int
    doubtful: int = 0
    """Those of them that fit only if the instance's run is in one of the wanted states: not known yet."""

    def behind(self, cursor: str) -> "Found":
        """What comes behind a cursor; empty: all. `Refused(BAD_NEXT_TOKEN)` for one that is none of ours."""
        if not cursor:
            return self
        if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 15):
            raise Refused(Kind.BAD_NEXT_TOKEN, "the NextToken is none of ours; begin again without it")
        bits = below(self.bits, self.span.bit(int(cursor)))
        return replace(self, bits=bits, doubtful=self.doubtful & bits)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A page of numbers, newest first."""

    items: Sequence[int]
    cursor: str
    total: int


class Listing:
    """Finds the numbers of invocations, and the entries that bear them."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def page(
        self, wanted: InvocationFilter, *, limit: int, cursor: str, skip: int, count: bool
    ) -> Numbers:
        """`limit` of those that fit, behind the cursor and the first `skip`. With `count`, how many fit."""
        found = await self._named((await self._read(wanted)).found(wanted), wanted.name)
        found = found.behind(cursor)
        found, floor = await self._settled(found, wanted, None if count else skip + limit + 1)
        seen = found.bits >> floor << floor
        total = found.bits.bit_count() if count else 0
        bits = list(islice(highest(without_highest(found.bits if count else seen, skip)), limit + 1))
        if len(bits) > limit:
            return Numbers(
                [found.span.number(bit) for bit in bits[:-1]], self._cursor(found, bits[-2]), total
            )
        rest = self._cursor(found, floor) if floor and not count else ""
        return Numbers([found.span.number(bit) for bit in bits], rest, total)

    async def place(self, wanted: InvocationFilter, *, skip: int) -> RunPlace:
        """Of the runs in a wanted state of what fits: where the one behind the first `skip` is."""
        reading = await self._read(wanted, counted=True)
        found = await self._named(reading.found(wanted), wanted.name)
        counts = await self._counts(reading, found, wanted.run_statuses)
        return counts.place(skip)

    async def entries(self, numbers: Sequence[int]) -> Sequence[bytes | None]:
        """The entry that bears each number; None if it is forgotten."""
        replies = await self._link.batch(
            [("ZRANGE", keys.INVOCATIONS, number, number, "BYSCORE") for number in numbers]
        )
        return [reply[0] if reply else None for reply in replies]

    # -- inside

    @staticmethod
    def _cursor(found: Found, bit: int) -> str:
        return str(found.span.number(bit))

    async def _read(self, wanted: InvocationFilter, *, counted: bool = False) -> "Reading":
        names, chunk, only = _marks_of(wanted, counted=counted), "", None
        if wanted.invoke_id is not None:
            number = await self._link.call("HGET", keys.header(wanted.invoke_id), "number")
            if number is None:
                return Reading(Span(0, 0), {})
            chunk, only = str(int(number) // CHUNK_BITS), int(number)
        replies = await self._link.script("read_marks", names, [chunk])
        hashes = [hash_of(reply) for reply in replies]
        span = Span.of(hashes[0])
        marks = {name: span.bits(hash_) for name, hash_ in zip(names, hashes, strict=True) if hash_}
        if only is not None and hashes[0]:
            marks[names[0]] &= 1 << span.bit(only)
        return Reading(span, marks)

    async def _named(self, found: Found, pattern: str) -> Found:
        """Those whose name fits. Read only where there is anything left to ask about."""
        if not (pattern and found.bits):
            return found
        chunks = [
            chunk
            for chunk in range(found.span.count)
            if found.bits >> chunk * CHUNK_BITS & ((1 << CHUNK_BITS) - 1)
        ]
        texts = await self._link.call("MGET", *[keys.names(found.span.first + chunk) for chunk in chunks])
        flat = bytearray(found.span.count * CHUNK_BITS // 8)
        known: dict[str, bool] = {}
        for text in texts:
            for line in (text or b"").decode("utf-8", "surrogateescape").split("\n"):
                number, _, name = line.partition(" ")
                if name and (
                    known[name] if name in known else known.setdefault(name, matches(pattern, name))
                ):
                    bit = found.span.bit(int(number))
                    flat[bit >> 3] |= 1 << (bit & 7)
        bits = found.bits & int.from_bytes(flat, "little")
        return replace(found, bits=bits, doubtful=found.doubtful & bits)

    async def _settled(self, found: Found, wanted: InvocationFilter, enough: int | None) -> tuple[Found, int]:
        """Without the doubtful ones that do not fit, from the highest bit down to the floor, which is
        returned too: 0, or where `enough` were found or too many were looked at."""
        if wanted.instance_id is None or not found.doubtful:
            return found, 0
        bits, doubtful, looked = found.bits, highest(found.doubtful), 0
        while batch := list(islice(doubtful, AT_ONCE)):
            fits = await self._in_status(found.span, batch, wanted.instance_id, wanted.run_statuses)
            for bit, fit in zip(batch, fits, strict=True):
                if not fit:
                    bits ^= 1 << bit
            looked += len(batch)
            floor = batch[-1]
            if looked >= LOOKED_AT or (enough and (bits >> floor).bit_count() >= enough):
                return Found(found.span, bits), floor
        return Found(found.span, bits), 0

    async def _in_status(
        self, span: Span, bits: Sequence[int], instance_id: InstanceId, statuses: frozenset[RunStatus]
    ) -> Sequence[bool]:
        entries = await self.entries([span.number(bit) for bit in bits])
        ids = [InvokeId(keys.id_of(entry)) if entry else None for entry in entries]
        read = await self._link.batch(
            [("HGET", keys.run(RunKey(id_, instance_id)), "status") for id_ in ids if id_ is not None]
        )
        replies = iter(read)
        return [
            id_ is not None and RunStatus((next(replies) or b"Pending").decode()) in statuses for id_ in ids
        ]

    async def _counts(self, reading: "Reading", found: Found, statuses: frozenset[RunStatus]) -> "Counts":
        if statuses == ANY_STATUS:
            more = [(1 << power, found.bits & reading.bits(mark)) for power, mark in enumerate(_MORE_MEMBERS)]
            return Counts(found.span, [(1, found.bits), *((w, bits) for w, bits in more if bits)], {})
        still_open = found.bits & reading.in_any(OPEN)
        closed = found.bits ^ still_open
        weights: list[tuple[int, int]] = []
        for status in statuses & FINAL:
            weights.append((1, closed & reading.bits(facets.of_status(status))))
            weights += [
                (1 << power, closed & reading.bits(mark))
                for power, mark in enumerate(facets.of_more_in(status))
            ]
        weights = [(weight, bits) for weight, bits in weights if bits]
        return Counts(found.span, weights, await self._tallied(found.span, still_open, statuses))

    async def _tallied(self, span: Span, bits: int, statuses: frozenset[RunStatus]) -> dict[int, int]:
        """By bit, how many runs of an open invocation are in these states: read from its tally."""
        open_bits = list(highest(bits))
        entries = await self.entries([span.number(bit) for bit in open_bits]) if open_bits else []
        known = [(bit, entry) for bit, entry in zip(open_bits, entries, strict=True) if entry]
        names = sorted(statuses)
        tallies = await self._link.batch(
            [("HMGET", keys.tally(InvokeId(keys.id_of(entry))), *names) for _, entry in known]
        ) if known else []  # fmt: skip
        return {bit: sum(int(n or 0) for n in tally) for (bit, _), tally in zip(known, tallies, strict=True)}


@dataclass(frozen=True, slots=True)
class Reading:
    """The marks of one moment, by key. What nothing is marked with is left out."""

    span: Span
    marks: dict[str, int]

    def bits(self, mark: str) -> int:
        """Empty where nothing is marked."""
        return self.marks.get(mark, 0)

    def in_any(self, statuses: frozenset[RunStatus]) -> int:
        """Those with a run in one of these states."""
        bits = 0
        for status in statuses:
            bits |= self.bits(facets.of_status(status))
        return bits

    def found(self, wanted: InvocationFilter) -> Found:
        """All but the name."""
        bits = self.bits(facets.of_kind(wanted.kind))
        for mark in _narrowing(wanted):
            bits &= self.bits(mark)
        if wanted.timed is not None:
            again = 0
            for mode in facets.AGAIN:
                again |= self.bits(keys.marks("repeat", mode))
            again &= self.in_any(OPEN)
            bits &= again if wanted.timed else ~again
        if wanted.states is None and wanted.run_statuses == ANY_STATUS:
            return Found(self.span, bits)
        return self._by_states(bits, wanted)

    def _by_states(self, bits: int, wanted: InvocationFilter) -> Found:
        fits = doubtful = 0
        by_which = classes(bits, [self.bits(facets.of_status(status)) for status in STATUSES])
        for which, members in by_which.items():
            present = frozenset(status for place, status in enumerate(STATUSES) if which >> place & 1)
            if not present & wanted.run_statuses or (wanted.states and not wanted.states(present)):
                continue
            fits |= members
            if wanted.instance_id is not None and not present <= wanted.run_statuses:
                doubtful |= members
        return Found(self.span, fits, doubtful)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs of each invocation fit: a sum of weights over sets, and single numbers by bit."""

    span: Span
    weights: Sequence[tuple[int, int]]
    single: dict[int, int]

    def place(self, skip: int) -> RunPlace:
        """Where the run behind the first `skip` lies."""
        total = self._from(0)
        if skip >= total:
            return RunPlace(total=total, cursor="0")
        low, high = 0, self.span.count * CHUNK_BITS  # more than `skip` from `low` on, not more from `high` on
        while high - low > 1:
            middle = (low + high) // 2
            if self._from(middle) > skip:
                low = middle
            else:
                high = middle
        return RunPlace(total=total, cursor=str(self.span.number(low + 1)), offset=skip - self._from(low + 1))

    def _from(self, bit: int) -> int:
        """How many runs the invocations from that bit on have together."""
        return sum(weight * (bits >> bit).bit_count() for weight, bits in self.weights) + sum(
            count for at, count in self.single.items() if at >= bit
        )


_MORE_MEMBERS = [keys.marks("members", str(power)) for power in range(facets.NUMBER_BITS)]


def _narrowing(wanted: InvocationFilter) -> list[str]:
    """The marks that all must hold."""
    marks = []
    if wanted.command_id:
        marks.append(keys.marks("command", wanted.command_id))
    if wanted.command_type:
        marks.append(keys.marks("type", wanted.command_type))
    if wanted.instance_id:
        marks.append(facets.of_instance(wanted.instance_id))
    if wanted.repeat_mode:
        marks.append(keys.marks("repeat", wanted.repeat_mode))
    if wanted.resource_group:
        marks.append(keys.marks("group", wanted.resource_group))
    return [*marks, *facets.of_tags(keys.marks, wanted.tags)]


def _marks_of(wanted: InvocationFilter, *, counted: bool) -> list[str]:
    """All that must be read to answer; first those of the kind."""
    marks = [facets.of_kind(wanted.kind), *_narrowing(wanted)]
    by_run = wanted.run_statuses != ANY_STATUS
    if wanted.states or by_run or wanted.timed is not None:
        marks += [facets.of_status(status) for status in STATUSES]
    if wanted.timed is not None:
        marks += [keys.marks("repeat", mode) for mode in facets.AGAIN]
    if counted and by_run:
        marks += [mark for status in wanted.run_statuses & FINAL for mark in facets.of_more_in(status)]
    elif counted:
        marks += _MORE_MEMBERS
    return list(dict.fromkeys(marks))
