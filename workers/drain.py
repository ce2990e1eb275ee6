"""Tell held tasks that the process shuts down, and wait well for those that end.

A worker step, added by the worker's app: `app.steps["worker"].add(Drain)`; any pool. When a shutdown
begins that lets tasks end (SIGTERM, `control.shutdown`, SIGQUIT with worker_soft_shutdown_timeout),
`drain_started` is sent once, before the pool waits: who holds runs lets go of them then. Celery's
own `worker_shutting_down` will not do: it is sent inside the signal handler, and not by `control.shutdown`.
"""

import logging
from time import monotonic
from typing import Any

from celery import bootsteps
from celery.utils.dispatch import Signal
from celery.worker import state

from cloudassist_tasks.runtime import process_loop
from workers.pools import AsyncioPool
from workers.shutdown_signals import defer_cold_shutdown

__all__ = ["Drain", "drain_started"]

logger = logging.getLogger(__name__)

drain_started = Signal(name="drain_started")
"""Sent on the process's loop thread, with the WorkController as sender; connect with `weak=False` for a
closure. Receivers are plain functions and must not block. Under prefork it reaches the main process,
not its children."""


class Drain(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Also replaces Celery's soft-shutdown wait under the asyncio pool."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.begun = False

    def create(self, worker: Any) -> None:
        """Called once, when the worker is put together."""
        worker.wait_for_soft_shutdown = lambda: self._soft_shutdown(worker)

    def start(self, worker: Any) -> None:
        """Called when Celery's signal handlers are in place."""
        if isinstance(worker.pool, AsyncioPool):
            defer_cold_shutdown(worker.pool)

    def close(self, worker: Any) -> None:
        """Called on the main thread when a shutdown begins; in a cold one, after all were killed."""
        if not state.should_terminate:
            self._begin(worker)

    def _begin(self, worker: Any) -> None:
        if not self.begun:
            self.begun = True
            process_loop().loop.call_soon_threadsafe(lambda: drain_started.send(sender=worker))

    def _soft_shutdown(self, worker: Any) -> None:
        """At SIGQUIT, before the kill: give tasks the soft timeout to end, and ack those that do.

        Celery's own wait is one sleep: tasks that end in it look unfinished and run again, and a
        worker whose tasks end early waits in full.
        """
        timeout_s = worker.app.conf.worker_soft_shutdown_timeout
        if timeout_s:
            self._begin(worker)
        if not timeout_s or not isinstance(worker.pool, AsyncioPool):
            type(worker).wait_for_soft_shutdown(worker)
            return
        logger.warning("Soft shutdown: up to %s s for %d tasks", timeout_s, worker.pool.running())
        worker.pool.close()  # admit none of the waiting requests
        end = monotonic() + timeout_s
        while worker.pool.running() and monotonic() < end:
            worker.pool.turn()
