"""One message in the asyncio pool: Celery's tracer in a greenlet on the loop thread.

Made by workers/pools.py for each admitted request. `await_` in the task parks the greenlet in `wait`;
the future's done callback resumes it. Time limits and terminate cancel the coroutine, then
raise in the task. What Celery wants to hear of the outcome is posted to the main thread.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol, TypeVar

from billiard.einfo import ExceptionInfo
from celery.exceptions import SoftTimeLimitExceeded

from cloudassist_tasks.runtime import TaskGreenlet

__all__ = ["Job", "Limits", "Reports", "TaskKilled"]

T = TypeVar("T")
logger = logging.getLogger(__name__)

SLOW_STEP_S = 0.1
"""A task that keeps the loop for longer than this, without waiting, is named in a warning."""


class TaskKilled(BaseException):
    """Unwinds a task after its hard time limit or a terminate; every further `await_` raises it again.

    Not an Exception, so the tracer lets it through: Celery's request has already reported the
    outcome. A task must not swallow it (no bare `except:` around `await_`).
    """


class Home(Protocol):
    """What a job needs of its pool."""

    loop: asyncio.AbstractEventLoop

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Called on the loop thread: have the callback called on the main thread, in order of posting."""

    def release(self, job: "Job") -> None:
        """Called on the main thread: forget the job and admit the next."""


class Limits:
    """A task's time limits in seconds; None is no limit."""

    def __init__(self, soft_s: float | None, hard_s: float | None) -> None:
        self.soft_s = soft_s
        self.hard_s = hard_s


class Reports:
    """Celery's callbacks for one request, called on the main thread: it is not thread-safe."""

    def __init__(
        self,
        done: Callable[[object], object],
        error: Callable[[object], object],
        timeout: Callable[[bool, float], object],
    ) -> None:
        self.done = done
        self.error = error
        self.timeout = timeout


class Job:
    """One admitted request. Its methods run on the loop thread unless they say otherwise."""

    def __init__(
        self,
        home: Home,
        pid: int,
        task_id: str,
        trace: Callable[..., object],
        args: tuple[Any, ...],
        limits: Limits,
        reports: Reports,
    ) -> None:
        self.home = home
        self.pid = pid  # the job's number, in place of a process id, as in Celery's gevent pool
        self.task_id = task_id
        self.trace = trace
        self.args = args
        self.limits = limits
        self.reports = reports
        self.killed = False  # by terminate or the hard limit: nothing more is reported
        self._timers: list[asyncio.TimerHandle] = []
        self._greenlet: TaskGreenlet | None = None
        self._future: asyncio.Future[Any] | None = None  # what the task waits for
        self._pending_error: BaseException | None = None  # what the present or next await_ raises

    @property
    def name(self) -> str:
        """`task[id]`, for logs."""
        return f"{self.args[0]}[{self.task_id}]"

    def start(self) -> None:
        """Run the task up to its first wait, unless it was terminated meanwhile."""
        if self.killed:
            self.home.post(self.home.release, self)
            return
        if self.limits.soft_s:
            self._timers.append(self.home.loop.call_later(self.limits.soft_s, self._soft_limit))
        if self.limits.hard_s:
            self._timers.append(self.home.loop.call_later(self.limits.hard_s, self._hard_limit))
        self._greenlet = TaskGreenlet(self._run, self)
        self._greenlet.gr_context = contextvars.copy_context()
        self._step()

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Called in the task's greenlet, by `await_`: park it until the awaitable is done."""
        assert self._greenlet is not None
        if self._pending_error is not None and asyncio.iscoroutine(awaitable):
            awaitable.close()  # else Python warns that it was never awaited
        self._raise_pending()
        self._future = future = asyncio.ensure_future(awaitable, loop=self.home.loop)
        future.add_done_callback(self._resume)
        try:
            while not future.done():
                self._greenlet.parent.switch()
        finally:
            self._future = None
        self._raise_pending()
        return future.result()

    def kill(self) -> None:
        """Unwind the task now; its coroutine is cancelled and cleans up by itself."""
        self.killed, self._pending_error = True, TaskKilled()
        future, self._future = self._future, None
        if future is not None:
            future.cancel()
            self._step(self._pending_error)

    def terminate(self, signal: object = None) -> None:
        """Called by Celery's request beside `terminate_job`, which has done the work by then."""

    def _run(self) -> None:
        """The greenlet's body."""
        try:
            result = self.trace(*self.args)
        except TaskKilled:
            pass
        except BaseException:  # Reject, SystemExit, MemoryError: Celery decides
            self.home.post(self._report, self.reports.error, ExceptionInfo())
        else:
            self.home.post(self._report, self.reports.done, result)
        finally:
            for timer in self._timers:
                timer.cancel()
            self._future = None
            self.home.post(self.home.release, self)

    def _step(self, *error: BaseException) -> None:
        """Let the task go on until it waits or ends, and notice when that takes long."""
        assert self._greenlet is not None
        begin = monotonic()
        if error:
            self._greenlet.throw(*error)
        else:
            self._greenlet.switch()
        if (took_s := monotonic() - begin) > SLOW_STEP_S:
            logger.warning(
                "Task %s blocked the pool's loop for %.3f s; wrap the call in blocking()", self.name, took_s
            )

    def _resume(self, future: asyncio.Future[Any]) -> None:
        if self._future is future:
            self._step()

    def _report(self, report: Callable[[object], object], outcome: object) -> None:
        """On the main thread; a kill has been reported by whoever asked for it."""
        if not self.killed:
            report(outcome)

    def _raise_pending(self) -> None:
        error = self._pending_error
        if not self.killed:
            self._pending_error = None
        if error is not None:
            raise error

    def _soft_limit(self) -> None:
        soft_s = self.limits.soft_s
        assert soft_s is not None
        self.home.post(self.reports.timeout, True, soft_s)
        self._pending_error = SoftTimeLimitExceeded(soft_s)
        if self._future is not None:
            self._future.cancel()  # await_ raises once the coroutine has cleaned up

    def _hard_limit(self) -> None:
        hard_s = self.limits.hard_s
        if not self.killed:
            self.home.post(self.reports.timeout, False, hard_s)
            self.kill()
