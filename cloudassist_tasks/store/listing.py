"""Which invocations fit a filter: the marks of its facets are read in one step, the rest is arithmetic.

Any filters may be combined, denied and counted. Two questions need more than marks: names are read where
the other filters leave something, and the state of one instance's run is read where it has not ended and
the states of its whole invocation leave it open.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus
from cloudassist_tasks.ports.listing import ANY_STATUS, InvocationFilter, RunPlace
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.bits import Span, classes, highest
from cloudassist_tasks.store.counting import Counts, ended_in, marks_to_count, members_of, still_open
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.names import keep_named
from cloudassist_tasks.store.parts import statuses_of
from cloudassist_tasks.store.reading import NOTHING, Found, Numbers, Reading, entries, read

LOOKED_AT = 5_000
"""The most open runs of one instance that one page looks at; a page by token then comes short and goes on."""

AT_ONCE = 250
"""How many of them in one round trip."""

STATUSES = tuple(RunStatus)


async def find_page(
    link: Link, wanted: InvocationFilter, *, limit: int, cursor: str, skip: int, count: bool
) -> Numbers:
    """`limit` of those that fit, behind the cursor and the first `skip`. With `count`, how many fit."""
    found = _found(await _read(link, wanted), wanted).behind(cursor)
    found = await keep_named(link, found, wanted.name)
    found, floor = await _settled(link, found, wanted, None if count else skip + limit + 1)
    return found.page(limit=limit, skip=skip, count=count, floor=floor)


async def find_run(link: Link, wanted: InvocationFilter, *, skip: int) -> RunPlace:
    """Of the runs in a wanted state of what fits: where the one behind the first `skip` is."""
    reading = await _read(link, wanted, marks_to_count(wanted.run_statuses))
    found = await keep_named(link, _found(reading, wanted), wanted.name)
    if wanted.run_statuses == ANY_STATUS:
        return Counts(found.span, members_of(reading, found), {}).place(skip)
    single = await _tallied(link, found.span, still_open(reading, found), wanted.run_statuses)
    return Counts(found.span, ended_in(reading, found, wanted.run_statuses), single).place(skip)


# -- by marks


async def _read(link: Link, wanted: InvocationFilter, others: Sequence[str] = ()) -> Reading:
    """All that must be known to answer, at one moment."""
    marks = [facets.of_kind(wanted.kind), *_narrowing(wanted)]
    if wanted.states or wanted.run_statuses != ANY_STATUS or wanted.timed is not None:
        marks += [facets.of_status(status) for status in STATUSES]
    if wanted.instance_id and wanted.run_statuses != ANY_STATUS:
        marks += [facets.of_end(wanted.instance_id, status) for status in FINAL]
    if wanted.timed is not None:
        marks += facets.REPEATED
    marks = list(dict.fromkeys([*marks, *others]))
    if wanted.invoke_id is None:
        return await read(link, marks)
    number = await link.call("HGET", keys.header(wanted.invoke_id), "number")
    return NOTHING if number is None else await read(link, marks, only=int(number))


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


def _found(reading: Reading, wanted: InvocationFilter) -> Found:
    """By all but the name."""
    bits = reading.all_of(facets.of_kind(wanted.kind), _narrowing(wanted))
    if wanted.timed is not None:
        again = reading.any_of(facets.REPEATED) & reading.any_of(facets.of_status(each) for each in OPEN)
        bits &= again if wanted.timed else ~again
    if wanted.states is None and wanted.run_statuses == ANY_STATUS:
        return Found(reading.span, bits)
    fits = doubtful = 0
    by_which = classes(bits, [reading.bits(facets.of_status(status)) for status in STATUSES])
    for which, members in by_which.items():
        present = frozenset(status for place, status in enumerate(STATUSES) if which >> place & 1)
        if not present & wanted.run_statuses or (wanted.states and not wanted.states(present)):
            continue
        fits |= members
        if wanted.instance_id is not None and not present <= wanted.run_statuses:
            doubtful |= members
    found = Found(reading.span, fits, doubtful)
    return found if wanted.instance_id is None else _ended(reading, found, wanted.instance_id, wanted)


def _ended(reading: Reading, found: Found, instance_id: InstanceId, wanted: InvocationFilter) -> Found:
    """Doubtful are only those whose run on the instance has not ended, and only if some such are wanted."""
    ended = reading.any_of(facets.of_end(instance_id, status) for status in FINAL)
    as_wanted = reading.any_of(facets.of_end(instance_id, status) for status in FINAL & wanted.run_statuses)
    misfits = found.doubtful & ended & ~as_wanted
    doubtful = found.doubtful & ~ended
    if not wanted.run_statuses & OPEN:
        misfits, doubtful = misfits | doubtful, 0
    elif wanted.run_statuses >= OPEN:
        doubtful = 0
    return Found(found.span, found.bits & ~misfits, doubtful)


# -- by what the marks leave open


async def _settled(
    link: Link, found: Found, wanted: InvocationFilter, enough: int | None
) -> tuple[Found, int]:
    """Without the doubtful ones that do not fit, from the highest bit to the floor, which is returned too:
    0, or where `enough` were found or too many were looked at."""
    if wanted.instance_id is None or not found.doubtful:
        return found, 0
    bits, doubtful, looked = found.bits, highest(found.doubtful), 0
    while batch := list(islice(doubtful, AT_ONCE)):
        statuses = await _statuses(link, found.span, batch, wanted.instance_id)
        for bit, status in zip(batch, statuses, strict=True):
            if status not in wanted.run_statuses:
                bits ^= 1 << bit
        looked += len(batch)
        floor = batch[-1]
        if looked >= LOOKED_AT or (enough and (bits >> floor).bit_count() >= enough):
            return replace(found, bits=bits), floor
    return replace(found, bits=bits), 0


async def _statuses(
    link: Link, span: Span, bits: Sequence[int], instance_id: InstanceId
) -> Sequence[RunStatus | None]:
    """Of an instance's runs; None where the invocation is forgotten."""
    ids = await _ids(link, span, bits)
    known = [RunKey(id_, instance_id) for id_ in ids if id_ is not None]
    if not known:
        return [None for _ in ids]
    replies = await link.batch(
        [
            words
            for key in known
            for words in (("HGET", keys.run(key), "status"), ("HEXISTS", keys.header(key.invoke_id), "round"))
        ]
    )
    found = {
        key.invoke_id: RunStatus((status or b"Pending").decode())
        for key, status in zip(known, replies[::2], strict=True)
    }
    scheduled = [key.invoke_id for key, is_ in zip(known, replies[1::2], strict=True) if is_]
    in_whole = await statuses_of(link, [(id_, instance_id) for id_ in scheduled])
    found |= dict(zip(scheduled, in_whole, strict=True))
    return [None if id_ is None else found[id_] for id_ in ids]


async def _tallied(link: Link, span: Span, bits: int, statuses: frozenset[RunStatus]) -> dict[int, int]:
    """By bit, how many runs of an open invocation are in these states: its tally knows."""
    wanted = list(highest(bits))
    known = [
        (bit, id_) for bit, id_ in zip(wanted, await _ids(link, span, wanted), strict=True) if id_ is not None
    ]
    if not known:
        return {}
    tallies = await link.batch([("HMGET", keys.tally(id_), *sorted(statuses)) for _, id_ in known])
    return {bit: sum(int(n or 0) for n in tally) for (bit, _), tally in zip(known, tallies, strict=True)}


async def _ids(link: Link, span: Span, bits: Sequence[int]) -> Sequence[InvokeId | None]:
    found = await entries(link, keys.INVOCATIONS, [span.number(bit) for bit in bits])
    return [InvokeId(keys.id_of(entry)) if entry else None for entry in found]
