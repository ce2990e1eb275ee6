"""A Celery worker pool that holds thousands of waiting tasks in one process.

    CELERY_CUSTOM_WORKER_POOL=workers.pools:AsyncioPool celery -A … worker -P custom -c 5000

Tasks stay ordinary functions; inside one, `await_(coroutine)` waits without a thread. Two threads
do all: on the main thread Celery's consumer and hub are unchanged, and all of Celery's callbacks run
there, as under prefork (acks, events, worker state: none of it is thread-safe); on the process's
loop thread each message runs Celery's own tracer in a greenlet of its own (workers/job.py). Celery
keys `current_task` and `self.request` by greenlet, so they are per task.

Written against Celery 5.7 (`_run_ready_callbacks` and the semaphore's fields are private there).
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

from celery.concurrency.base import BasePool
from celery.concurrency.prefork import _run_ready_callbacks
from celery.exceptions import ImproperlyConfigured

from cloudassist_tasks import runtime
from workers.inbox import Inbox
from workers.job import Job, Limits, Reports
from workers.loop_watch import TICK_S, LoopWatch

__all__ = ["AsyncioPool"]


class AsyncioPool(BasePool):  # type: ignore[misc]  # celery ships no types
    """The pool. Its methods run on the main thread unless they say otherwise."""

    # Celery's hub semaphore admits `limit` requests. The others wait outside the pool, where a
    # plain revoke and expiry still apply to them.
    uses_semaphore = True
    signal_safe = False
    body_can_be_buffer = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.limit: int
        self.jobs: dict[int, Job] = {}
        self.hub: Any = None
        self.attended = False  # whether a hub turns that will make the posted calls
        self._pids = itertools.count(1)
        self._inbox = Inbox()
        self.post = self._inbox.post

    # -- what others may ask, from any thread

    def running(self) -> int:
        """How many tasks hold a slot."""
        return len(self.jobs)

    def waiting(self) -> int:
        """How many received requests wait for a slot (never more than the prefetch allows)."""
        return len(self.semaphore._waiting)

    # -- life of the pool

    def on_start(self) -> None:
        """Refuse what would break silently, then take the process's loop."""
        if self.options.get("threads", True):
            raise ImproperlyConfigured("AsyncioPool needs a broker with an event loop: Redis or AMQP")
        if os.environ.get("USE_FAST_LOCALS"):
            raise ImproperlyConfigured("USE_FAST_LOCALS mixes up tasks' requests in AsyncioPool; unset it")
        self.semaphore = self.options["semaphore"]
        home = runtime.process_loop()
        self.loop: asyncio.AbstractEventLoop = home.loop
        self.thread = home.thread
        self.watch = LoopWatch(home.loop, home.thread)
        self.watch.begin()

    def register_with_event_loop(self, hub: Any) -> None:
        """Called at the start and after every reconnect."""
        self.hub = hub
        self.attended = True
        hub.add_reader(self._inbox.fileno(), self._woken)
        hub.call_repeatedly(TICK_S, self.watch.look)

    def flush(self) -> None:
        """Called when the connection is lost, after Celery has made all slots free: those of the
        running tasks are not. Until the reconnect nobody attends to what is posted."""
        self.attended = False
        self._settle()

    def on_stop(self) -> None:
        """Wait for every running task. A cold shutdown has killed them before, and comes here without
        `close`: admit nothing more, else every waiting request would start."""
        self._state = self.CLOSE
        while self.jobs and self.thread.is_alive():
            self.turn()
        self.turn()
        runtime.close()

    def on_terminate(self) -> None:
        """Kill every running task."""
        for pid in list(self.jobs):
            self.terminate_job(pid)
        runtime.close()

    def turn(self) -> None:
        """Do for a moment what the hub would, while the main thread waits outside it: outcomes,
        heartbeats, acks. It polls, for a signal handler may come here too: an Event's lock could be ours."""
        sleep(0.02)
        self._inbox.drain()
        if self.hub is not None:
            self.hub.fire_timers()
            _run_ready_callbacks(self.hub)

    # -- one request

    def on_apply(
        self,
        target: Callable[..., object],
        args: tuple[Any, ...] = (),
        kwargs: object = None,
        callback: Any = None,
        accept_callback: Any = None,
        error_callback: Any = None,
        timeout_callback: Any = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        correlation_id: str = "",
        **_: object,
    ) -> Job | None:
        """Admit a request. Acceptance is told at once: nothing is in the pool and not accepted."""
        if self._state != self.RUN:
            return None  # it stays unacked and goes back to the queue
        limits = Limits(
            soft_timeout or self.options.get("soft_timeout"), timeout or self.options.get("timeout")
        )
        reports = Reports(callback, error_callback, timeout_callback)
        job = Job(self, next(self._pids), correlation_id, target, tuple(args), limits, reports)
        self.jobs[job.pid] = job
        accept_callback(job.pid, monotonic())  # may call terminate_job
        self.loop.call_soon_threadsafe(job.start)
        return job

    def terminate_job(self, pid: int, signal: object = None) -> None:
        """Unwind a running task; nothing more is reported of it. What has ended meanwhile is
        reported first, so that it is acked and not run again."""
        self._inbox.drain()
        job = self.jobs.get(pid)
        if job is not None and not job.killed:
            job.killed = True
            self.loop.call_soon_threadsafe(job.kill)

    def release(self, job: Job) -> None:
        """Forget an ended job. Its slot is given away by `_settle`, from the hub alone: in a cold
        shutdown jobs end while the others are being killed, and nothing may start then."""
        self.jobs.pop(job.pid, None)

    def _woken(self) -> None:
        self._inbox.hear()
        self._inbox.drain()
        self._settle()

    def _settle(self) -> None:
        """Start waiting requests while slots are free, then tell the semaphore how many are left. The
        jobs are the truth: its own `grow` admits up to 2n, its `shrink` none while requests wait."""
        slots = self.semaphore
        while self._state == self.RUN and slots._waiting and len(self.jobs) < self.limit:
            start, args, options = slots._waiting.popleft()
            start(*args, **options)
        slots.initial_value = self.limit
        slots.value = max(self.limit - len(self.jobs), 0)

    # -- size: a number of admissions; nothing is allocated

    def grow(self, n: int = 1) -> None:
        """Add slots."""
        self.limit += n
        self._settle()

    def shrink(self, n: int = 1) -> None:
        """Take slots away; running tasks are left to end."""
        self.limit = max(self.limit - n, 0)
        self._settle()

    def _get_info(self) -> dict[str, Any]:
        return {
            **super()._get_info(),
            "processes": [os.getpid()],
            "running": self.running(),
            "waiting": self.waiting(),
            "loop-max-lag": round(self.watch.max_lag_s, 4),
        }
