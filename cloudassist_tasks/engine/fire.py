"""Open the rounds of schedules whose time has come, and publish their runs.

Called by every beat, again and again; each time of a schedule fires once, however many beats there are. What
happens between the step that opens a round and the publishing of its runs is mended like any lost message.
"""

import asyncio
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId, RoundKey, RunKey
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import planned
from cloudassist_tasks.engine.stop import end_parts
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.schedules import Due, OpenedRound, Planned

AT_A_TIME = 10_000
"""Schedules that are looked at together."""

STEP = 250
"""Rounds that are opened in one round trip: more would make other callers of the store wait."""

STEPS_AT_ONCE = 3
"""So the store has the next when it is done with one."""


async def foresee(worker: Worker, *, within_ms: int) -> None:
    """Have read what firing will need of the schedules that come due so soon."""
    plane = worker.plane
    await plane.store.schedules.foresee(until_ms=plane.clock.now_ms() + within_ms)


async def fire_due(worker: Worker) -> int:
    """Open a round of each schedule whose time has come; how many. Their runs are published beside, once all
    rounds are open: publishing takes longer. A schedule that cannot be planned here stays due, for a beat of
    another version: the worker knows it as `unplanned`."""
    look = _Look()
    try:
        await _fire_due(worker, look)
    finally:  # also what was opened before something went wrong
        if look.done:
            _tell(worker.plane, look.done)
            worker.spawn(_follow_up(worker.plane, look.done))
    _tell_unplanned(worker, look.unplanned)
    return len(look.done)


_Fired = tuple[Planned, OpenedRound]


@dataclass(slots=True)
class _Look:
    """What has become of all that is due."""

    done: list[_Fired] = field(default_factory=list)
    unplanned: dict[InvokeId, Exception] = field(default_factory=dict)


async def _fire_due(worker: Worker, look: _Look) -> None:
    """Those that stay due are passed over, so that the others have their turn however many they are."""
    plane = worker.plane
    while due := await plane.store.schedules.due(
        now_ms=plane.clock.now_ms(), limit=AT_A_TIME, start=len(look.unplanned)
    ):
        await _fire_all(worker, due, look)
        if len(due) < AT_A_TIME:
            break


async def _fire_all(worker: Worker, due: Sequence[Due], look: _Look) -> None:
    """In steps, of which each beat begins with another, so that they share them."""
    steps = [due[at : at + STEP] for at in range(0, len(due), STEP)]
    first = zlib.crc32(worker.id.encode()) % len(steps)
    waiting = iter(steps[first:] + steps[:first])

    async def take() -> None:
        for step in waiting:
            await _fire(worker.plane, step, look)

    ends = await asyncio.gather(*(take() for _ in range(STEPS_AT_ONCE)), return_exceptions=True)
    if failures := [end for end in ends if end is not None]:
        raise failures[0]


async def _fire(plane: Plane, due: Sequence[Due], look: _Look) -> None:
    still = await plane.store.schedules.still_due(due)
    now_ms = plane.clock.now_ms()
    ready: list[Planned] = []
    for one in still:
        try:
            ready.append(planned(plane, one, now_ms))
        except Exception as error:  # what a newer version has written; or a fault of ours, which is its alone
            look.unplanned[one.invoke_id] = error
    if ready:
        look.done += await _open(plane, ready, now_ms)


async def _open(plane: Plane, some: Sequence[Planned], now_ms: int) -> list[_Fired]:
    opened = await plane.store.schedules.fire(some, batch=plane.limits.batch, now_ms=now_ms)
    return [(one, round_) for one, round_ in zip(some, opened, strict=True) if round_ is not None]


async def fire_one(plane: Plane, one: Planned, *, now_ms: int) -> None:
    """As a beat would; nothing, if one has. Its runs are published when it returns."""
    if done := await _open(plane, [one], now_ms):
        _tell(plane, done)
        await _follow_up(plane, done)


def _tell(plane: Plane, done: Sequence[_Fired]) -> None:
    """A line for what was opened together, and one for what was missed; each stands in the store."""
    if missed := [one for one, _ in done if one.plan.missed]:
        log(
            "ticks_missed",
            logging.WARNING,
            schedules=len(missed),
            missed=sum(one.plan.missed for one in missed),
            first=missed[0].due.invoke_id,
            done=missed[0].due.timing.misfire,
        )
    log(
        "rounds_opened",
        rounds=sum(1 for _, one in done if one.number),
        runs=sum(one.total for _, one in done),
        skipped=sum(one.skipped for _, one in done),
        first=str(RoundKey(done[0][0].due.invoke_id, done[0][1].number)),
        late_ms=plane.clock.now_ms() - min(one.due.due_ms for one, _ in done),
    )


def _tell_unplanned(worker: Worker, found: Mapping[InvokeId, Exception]) -> None:
    """A line when it is others than at the look before."""
    if found and found.keys() != worker.unplanned:
        first, error = next(iter(found.items()))
        log("not_planned", logging.ERROR, schedules=len(found), first=first, error=repr(error))
    worker.unplanned = frozenset(found)


async def _follow_up(plane: Plane, done: Sequence[_Fired]) -> None:
    await _publish(plane, [(one.due.invoke_id, round_) for one, round_ in done])
    for one, round_ in done:
        if round_.ended and (invocation := await plane.store.invocations.get(one.due.invoke_id)) is not None:
            await end_parts(plane, invocation)


async def publish_round(plane: Plane, invoke_id: InvokeId, opened: OpenedRound) -> None:
    """The runs that were reserved at the opening, and more if there are."""
    await _publish(plane, [(invoke_id, opened)])


async def _publish(plane: Plane, rounds: Sequence[tuple[InvokeId, OpenedRound]]) -> None:
    most = plane.limits.express_instances
    small: list[RunKey] = [key for _, one in rounds if one.total <= most for key in one.reserved]
    large: list[RunKey] = [key for _, one in rounds if one.total > most for key in one.reserved]
    try:
        if small:
            await plane.dispatch.publish(small, express=True)
        if large:
            await plane.dispatch.publish(large, express=False)
        for invoke_id, one in rounds:
            if one.total > len(one.reserved):
                await publish.refill(plane, invoke_id, round=one.number, first=True)
    except Broken as error:  # they stand in the store as published and unclaimed: reconcile finds them
        log("publish_failed", logging.WARNING, runs=len(small) + len(large), error=str(error))
