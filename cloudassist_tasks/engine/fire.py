"""Open the rounds of schedules whose time has come, and publish their runs.

Called by every beat, again and again; each time of a schedule fires once, however many beats there are. What
happens between the step that opens a round and the publishing of its runs is mended like any lost message.
"""

import asyncio
import logging
import zlib
from collections.abc import Sequence
from functools import lru_cache

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Timing
from cloudassist_tasks.domain.schedule import Rate, Schedule, parse_schedule
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.plane import Plane
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
    rounds are open: publishing takes longer."""
    plane = worker.plane
    done: list[_Fired] = []
    while due := await plane.store.schedules.due(now_ms=plane.clock.now_ms(), limit=AT_A_TIME):
        done += await _fire_all(worker, due)
        if len(due) < AT_A_TIME:
            break
    if done:
        _tell(plane, done)
        worker.spawn(_follow_up(plane, done))
    return len(done)


_Fired = tuple[Planned, OpenedRound]


async def _fire_all(worker: Worker, due: Sequence[Due]) -> list[_Fired]:
    """In steps, of which each beat begins with another, so that they share them."""
    steps = [due[at : at + STEP] for at in range(0, len(due), STEP)]
    first = zlib.crc32(worker.id.encode()) % len(steps)
    waiting = iter(steps[first:] + steps[:first])

    async def take() -> list[_Fired]:
        fired: list[_Fired] = []
        for step in waiting:
            fired += await _fire(worker.plane, step)
        return fired

    return [one for part in await asyncio.gather(*(take() for _ in range(STEPS_AT_ONCE))) for one in part]


async def _fire(plane: Plane, due: Sequence[Due]) -> list[_Fired]:
    schedules = plane.store.schedules
    if not (still := await schedules.still_due(due)):
        return []
    now_ms = plane.clock.now_ms()
    planned = [_planned(plane, one, now_ms) for one in still]
    opened = await schedules.fire(planned, batch=plane.limits.batch, now_ms=now_ms)
    return [(one, round_) for one, round_ in zip(planned, opened, strict=True) if round_ is not None]


def _planned(plane: Plane, due: Due, now_ms: int) -> Planned:
    plan = firing.plan(
        times_of(due.timing),
        due.tick_ms,
        now_ms=now_ms,
        late_ms=int(1_000 * plane.settings.late_s),
        misfire=due.timing.misfire,
        invoke_id=due.invoke_id,
        jitter_s=due.timing.jitter_s,
    )
    return Planned(due=due, plan=plan, next_due_ms=due_ms(due.invoke_id, due.timing, plan.next_tick_ms))


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


def due_ms(invoke_id: InvokeId, timing: Timing, tick_ms: int | None) -> int | None:
    """When the round for that time begins."""
    if tick_ms is None:
        return None
    return firing.due_ms(tick_ms, invoke_id=invoke_id, jitter_s=timing.jitter_s)


def times_of(timing: Timing) -> "_Times":
    """When it runs. Rates count from its creation, whatever was changed since."""
    return _times(timing.frequency, timing.zone, timing.created_ms if _is_rate(timing.frequency) else 0)


def _is_rate(expression: str) -> bool:
    return expression.lstrip().lower().startswith("rate")


class _Times:
    """A schedule that remembers the last answer: of many with the same expression, one asks."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._asked: tuple[int, int | None] | None = None

    def next_after(self, after_ms: int) -> int | None:
        if isinstance(self.schedule, Rate):
            return self.schedule.next_after(after_ms)
        if self._asked is None or self._asked[0] != after_ms:
            self._asked = (after_ms, self.schedule.next_after(after_ms))
        return self._asked[1]


@lru_cache(maxsize=20_000)
def _times(expression: str, zone: str, created_ms: int) -> _Times:
    return _Times(parse_schedule(expression, created_ms=created_ms, zone=zone))


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
