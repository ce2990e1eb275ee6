"""A celery.beat scheduler over the store: any number of them run at once, without a leader.

Its process registers and reconciles as every worker's does, so that a plane without workers still ends
its runs.
"""

from typing import Any

from celery.beat import Scheduler

from beat.app import process
from cloudassist_tasks import runtime

LOOK_EVERY_S = 1.0


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
        """The seconds until the next call."""
        return LOOK_EVERY_S
