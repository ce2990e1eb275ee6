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
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.domain.invocation import InvocationSpec
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
    """Open a round of each schedule whose time has come; how many. Their runs are published beside."""
    plane, fired = worker.plane, 0
    while due := await plane.store.schedules.due(now_ms=plane.clock.now_ms(), limit=AT_A_TIME):
        opened = await asyncio.gather(*(_fire(plane, one) for one in due))
        done = [(one, round_) for one, round_ in zip(due, opened, strict=True) if round_ is not None]
        fired += len(done)
        if done:
            worker.spawn(_follow_up(plane, done))
        if len(due) < AT_A_TIME:
            break
    return fired


async def _fire(plane: Plane, due: Due) -> OpenedRound | None:
    spec, repetition, now_ms = due.invocation.spec, due.invocation.repetition, plane.clock.now_ms()
    assert repetition is not None
    plan = firing.plan(
        times_of(spec),
        repetition.tick_ms,
        now_ms=now_ms,
        late_ms=int(1_000 * plane.settings.late_s),
        misfire=spec.misfire,
        invoke_id=spec.id,
        jitter_s=spec.jitter_s,
    )
    opened = await plane.store.schedules.fire(
        due, plan, next_due_ms=due_ms(spec, plan.next_tick_ms), batch=plane.limits.batch, now_ms=now_ms
    )
    if opened is not None:
        if plan.missed:
            log("ticks_missed", logging.WARNING, invoke_id=spec.id, missed=plan.missed, done=spec.misfire)
        log(
            "round_opened",
            invoke_id=spec.id,
            round=opened.number,
            runs=opened.total,
            skipped=opened.skipped,
            late_ms=now_ms - due.due_ms,
        )
    return opened


def due_ms(spec: InvocationSpec, tick_ms: int | None) -> int | None:
    """When the round for that time begins."""
    if tick_ms is None:
        return None
    return firing.due_ms(tick_ms, invoke_id=spec.id, jitter_s=spec.jitter_s)


def times_of(spec: InvocationSpec) -> "_Times":
    """When it runs. Rates count from its creation, whatever was changed since."""
    return _times(spec.frequency, spec.zone, spec.created_ms if _is_rate(spec.frequency) else 0)


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
    await _publish(plane, [(one.invocation.spec.id, round_) for one, round_ in done])
    for one, round_ in done:
        if round_.ended:
            await end_parts(plane, one.invocation)


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
