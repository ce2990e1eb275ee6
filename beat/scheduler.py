"""A celery.beat scheduler over the store: any number of them run at once, without a leader.

Each time of a schedule is taken in one step of the store, so it fires once whoever comes first. Its process
registers and reconciles as every worker's does, so that a plane without workers still ends its runs.
"""

import logging
from typing import Any

from celery.beat import Scheduler

from beat.app import process
from cloudassist_tasks import runtime
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.engine.fire import fire_due, foresee
from cloudassist_tasks.logs import log

LOOK_EVERY_S = 0.5
"""Also the most that a schedule can be late whose time came before it was looked for again."""

SHORTEST_S = 0.005

GATHER_S = 0.05
"""After something was fired, so long is waited: of many schedules, some are fired together."""

AHEAD_MS = 2_000
"""So far ahead is looked. Longer than a tick takes that fires 10,000."""


class StoreScheduler(Scheduler):  # type: ignore[misc]  # celery ships no types
    """What is due stands in the store; nothing is kept in a file."""

    def setup_schedule(self) -> None:
        """Called once, when the beat begins."""
        process.open_soon()

    def close(self) -> None:
        """Sign off while threads may still be started: at the interpreter's own end they may not."""
        super().close()
        runtime.close()

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due; the seconds until the next call: until the next time, if that is near."""
        try:
            return runtime.await_(_tick())
        except Broken as error:
            log("tick_failed", logging.WARNING, error=str(error))
        except Exception as error:  # a fault of ours must not end the beat
            log("tick_failed", logging.ERROR, error=repr(error))
        return LOOK_EVERY_S


async def _tick() -> float:
    worker = await process.worker()
    plane = worker.plane
    fired = await fire_due(worker)
    await foresee(worker, within_ms=AHEAD_MS)
    next_ms = await plane.store.schedules.next_ms(behind=len(worker.unplanned))
    if next_ms is None:
        return LOOK_EVERY_S
    shortest_s = GATHER_S if fired else SHORTEST_S
    return min(LOOK_EVERY_S, max(shortest_s, (next_ms - plane.clock.now_ms()) / 1_000))
