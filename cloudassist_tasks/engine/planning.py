"""When a schedule runs, and what is to be done about one that is due, by its spec and the store's clock."""

from dataclasses import replace
from functools import lru_cache

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Invocation, Misfire, Timing
from cloudassist_tasks.domain.schedule import Rate, Schedule, parse_schedule
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.schedules import Due, Planned


def planned(plane: Plane, due: Due, now_ms: int, *, late_ms: int | None = None) -> Planned:
    """What is to be done about one that is due. `late_ms`: in place of the setting."""
    plan = firing.plan(
        times_of(due.timing),
        due.tick_ms,
        now_ms=now_ms,
        late_ms=int(1_000 * plane.settings.late_s) if late_ms is None else late_ms,
        misfire=due.timing.misfire,
        invoke_id=due.invoke_id,
        jitter_s=due.timing.jitter_s,
    )
    return Planned(due=due, plan=plan, next_due_ms=due_ms(due.invoke_id, due.timing, plan.next_tick_ms))


def with_no_late_round(schedule: Invocation, stands_ms: int) -> Due:
    """As a beat finds it, but that nothing is to be run for what was missed."""
    spec, repetition = schedule.spec, schedule.repetition
    assert repetition is not None
    return Due(
        invoke_id=spec.id,
        due_ms=stands_ms,
        tick_ms=repetition.tick_ms,
        version=repetition.version,
        timing=replace(spec.timing, misfire=Misfire.SKIP),
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
