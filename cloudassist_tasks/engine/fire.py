"""Open the rounds of schedules whose time has come, and publish their runs.

Called by every beat, again and again; each time of a schedule fires once, however many beats there are. What
happens between the step that opens a round and the publishing of its runs is mended like any lost message.
"""

import asyncio
import logging
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
from cloudassist_tasks.ports.schedules import Due, OpenedRound

AT_A_TIME = 500
"""Schedules that are fired together."""


async def fire_due(worker: Worker) -> int:
    """Open a round of each schedule whose time has come; how many. Their runs are published beside, once all
    rounds are open: publishing takes longer."""
    plane = worker.plane
    done: list[tuple[Due, OpenedRound]] = []
    while due := await plane.store.schedules.due(now_ms=plane.clock.now_ms(), limit=AT_A_TIME):
        opened = await asyncio.gather(*(_fire(plane, one) for one in due))
        done += [(one, round_) for one, round_ in zip(due, opened, strict=True) if round_ is not None]
        if len(due) < AT_A_TIME:
            break
    if done:
        _tell(plane, done)
        worker.spawn(_follow_up(plane, done))
    return len(done)


async def _fire(plane: Plane, due: Due) -> OpenedRound | None:
    timing, now_ms = due.timing, plane.clock.now_ms()
    plan = firing.plan(
        times_of(timing),
        due.tick_ms,
        now_ms=now_ms,
        late_ms=int(1_000 * plane.settings.late_s),
        misfire=timing.misfire,
        invoke_id=due.invoke_id,
        jitter_s=timing.jitter_s,
    )
    next_due_ms = due_ms(due.invoke_id, timing, plan.next_tick_ms)
    opened = await plane.store.schedules.fire(
        due, plan, next_due_ms=next_due_ms, batch=plane.limits.batch, now_ms=now_ms
    )
    if opened is not None and plan.missed:
        log(
            "ticks_missed",
            logging.WARNING,
            invoke_id=due.invoke_id,
            missed=plan.missed,
            done=timing.misfire,
        )
    return opened


def _tell(plane: Plane, done: Sequence[tuple[Due, OpenedRound]]) -> None:
    """One line for what was opened together; each round stands in the store."""
    log(
        "rounds_opened",
        rounds=sum(1 for _, one in done if one.number),
        runs=sum(one.total for _, one in done),
        skipped=sum(one.skipped for _, one in done),
        first=str(RoundKey(done[0][0].invoke_id, done[0][1].number)),
        late_ms=plane.clock.now_ms() - min(due.due_ms for due, _ in done),
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


async def _follow_up(plane: Plane, done: Sequence[tuple[Due, OpenedRound]]) -> None:
    await _publish(plane, [(one.invoke_id, round_) for one, round_ in done])
    for one, round_ in done:
        if round_.ended and (invocation := await plane.store.invocations.get(one.invoke_id)) is not None:
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
