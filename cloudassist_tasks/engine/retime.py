"""Take the next time of a schedule away, since it is paused or gets another Frequency; and find the next.

What had come due by then must not vanish. A time that a beat would still fire as punctual is fired first, by
whoever changes the schedule; what was missed is recorded by the same step that changes it, and nothing is run
for it: what the user wants now counts, also where a late round had been asked for. No time comes twice.
"""

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.errors import Kind, Refused, StoreFull
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Invocation, Repetition, Timing, Why
from cloudassist_tasks.engine.fire import fire_one
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import planned, times_of, with_no_late_round
from cloudassist_tasks.ports.schedules import Overlooked

TRIES = 5
"""Beats fire it, and others change it, at the same moment."""


def unsteady(invoke_id: str) -> Refused:
    """After so many tries."""
    return Refused(Kind.INVOCATION_FINISHED, f"{invoke_id} changes all the time, or has ended; try again")


async def standing_ms(plane: Plane, invoke_id: InvokeId) -> int | None:
    """Where it stands. To be asked before the schedule is read: the step that changes it does nothing unless
    it still stands there, so what was read then holds."""
    [due_ms] = await plane.store.schedules.next_of([invoke_id])
    return due_ms


async def overlooked(plane: Plane, schedule: Invocation, due_ms: int | None) -> Overlooked | None:
    """What the step is handed, of a schedule that stands at `due_ms`. None: it was fired; look again."""
    now_ms = plane.clock.now_ms()
    if due_ms is None or due_ms > now_ms:
        return Overlooked(due_ms=due_ms)
    due = with_no_late_round(schedule, due_ms)
    found = planned(plane, due, now_ms)
    if found.plan.why is Why.TICK or (found.next_due_ms is not None and found.next_due_ms <= now_ms):
        try:
            await fire_one(plane, found, now_ms=now_ms)
        except StoreFull:  # it opens no round, but a pause must get through
            found = planned(plane, due, now_ms, late_ms=-1)
        else:
            return None
    plan = found.plan
    return Overlooked(
        due_ms=due_ms, missed=plan.missed, first_ms=plan.missed_from_ms, last_ms=plan.missed_to_ms
    )


def next_tick(invoke_id: InvokeId, timing: Timing, repetition: Repetition, *, now_ms: int) -> int | None:
    """The next time by these times that was not fired yet."""
    return firing.next_tick(
        times_of(timing),
        now_ms=now_ms,
        settled_ms=repetition.settled_ms,
        tick_ms=repetition.tick_ms,
        invoke_id=invoke_id,
        jitter_s=timing.jitter_s,
    )
