"""What is to be done about a schedule that is found due: a round, or a record that times were missed; and
when the next one is.

A time is missed if nobody looked within `late_ms` of it: no beat was up. Until then it is only late, and its
round is opened. Pure arithmetic; the store makes it one step, which only the first to come takes.
"""

import zlib
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Misfire, Why

MOST_COUNTED = 10_000
"""Missed times beyond so many are not counted one by one."""


class Times(Protocol):
    """`domain.schedule.Schedule`, as far as it matters here."""

    def next_after(self, after_ms: int) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Times in ms."""

    why: Why | None
    """None: no round is opened."""
    at_ms: int = 0
    """The time that the round is for."""
    next_tick_ms: int | None
    """None: there is no more."""
    settled_ms: int
    """The newest time that is fired, missed, or that a late round stands for: none up to it comes again."""
    missed: int = 0
    missed_from_ms: int = 0
    missed_to_ms: int = 0


def due_ms(tick_ms: int, *, invoke_id: InvokeId, jitter_s: int) -> int:
    """When a round begins: at its time, or up to `jitter_s` later. How much is settled by the schedule and
    the time, so that every beat says the same."""
    if not jitter_s:
        return tick_ms
    return tick_ms + zlib.crc32(f"{invoke_id}.{tick_ms}".encode()) % (1_000 * jitter_s + 1)


def next_tick(
    times: Times, *, now_ms: int, settled_ms: int, tick_ms: int, invoke_id: InvokeId, jitter_s: int = 0
) -> int | None:
    """The next time whose round is still to begin, for a schedule that goes on after a pause, or gets other
    times. `settled_ms`: the newest that was fired or missed, which does not come again though the clock was
    put back. `tick_ms`: the one that it stood at, which may be over, and its jitter not."""
    after_ms = max(settled_ms, min(now_ms, tick_ms - 1), now_ms - 1_000 * jitter_s)
    next_ms = times.next_after(after_ms)
    while next_ms is not None and due_ms(next_ms, invoke_id=invoke_id, jitter_s=jitter_s) <= now_ms:
        next_ms = times.next_after(next_ms)
    return next_ms


def plan(
    times: Times,
    tick_ms: int,
    *,
    now_ms: int,
    late_ms: int,
    misfire: Misfire,
    invoke_id: InvokeId,
    jitter_s: int = 0,
) -> Plan:
    """For a schedule whose time `tick_ms` is over."""

    def is_missed(tick: int) -> bool:
        return due_ms(tick, invoke_id=invoke_id, jitter_s=jitter_s) + late_ms < now_ms

    if not is_missed(tick_ms):
        return Plan(why=Why.TICK, at_ms=tick_ms, next_tick_ms=times.next_after(tick_ms), settled_ms=tick_ms)
    missed, last_ms = 0, tick_ms
    next_ms: int | None = tick_ms
    while next_ms is not None and missed < MOST_COUNTED and is_missed(next_ms):
        missed, last_ms, next_ms = missed + 1, next_ms, times.next_after(next_ms)
    if missed == MOST_COUNTED:
        next_ms = times.next_after(now_ms)
    settled_ms = last_ms
    if misfire is Misfire.ONCE:  # the one late round stands for what is due this moment, too
        while next_ms is not None and next_ms <= now_ms:
            settled_ms, next_ms = next_ms, times.next_after(next_ms)
    return Plan(
        why=Why.LATE if misfire is Misfire.ONCE else None,
        at_ms=last_ms,
        next_tick_ms=next_ms,
        settled_ms=settled_ms,
        missed=missed,
        missed_from_ms=tick_ms,
        missed_to_ms=last_ms,
    )
