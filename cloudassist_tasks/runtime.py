"""The door between synchronous callers and the async core.

Engine, store, operations and transports are coroutines, written once. Whoever is not one (a Celery
task, the command line, beat, a script that uses the in-process client) enters here: `await_`
waits for a coroutine, `blocking` calls a synchronous function without stopping the loop.

There is one event loop per process, in a thread of its own, made on first use and made anew in a
forked child. In a `TaskGreenlet` (workers/pools.py) `await_` parks the greenlet in place of the thread.
Nothing here knows Celery.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

__all__ = ["ProcessLoop", "TaskGreenlet", "at_close", "await_", "blocking", "close", "process_loop"]

T = TypeVar("T")
P = ParamSpec("P")

BLOCKING_THREADS = 32
"""How many `blocking` calls run at once; further ones wait. Asyncio's own number is 6 on two cores."""

HEAR_S = 0.5
"""How late a signal may be heard that comes just before a thread begins to wait: Python looks for it before
and after, and a lock's wait is not ended by what came before it."""

CLOSE_GRACE_S = 2.0
"""How long `close` lets coroutines clean up after they were cancelled."""


class Parked(Protocol):
    """What runs a task greenlet on the loop thread; the pool's side of `await_`."""

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Park the current greenlet until the awaitable is done; give its result or raise its error."""


class TaskGreenlet(greenlet):  # type: ignore[misc]  # greenlet ships no types
    """The greenlet that a pool runs a synchronous task in, on the loop thread."""

    def __init__(self, run: Callable[[], object], job: Parked) -> None:
        super().__init__(run)
        self.job = job


class ProcessLoop:
    """An event loop that runs in a thread until it is closed. Its methods are called from other threads."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.executor = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="blocking")
        self.loop.set_default_executor(self.executor)
        self.thread = threading.Thread(target=self._run, name="process-loop", daemon=True)
        self.at_close: list[Callable[[], Awaitable[object]]] = []
        self.closing = False
        self.thread.start()

    @property
    def usable(self) -> bool:
        """Whether it runs, and in this process: a fork copies the object without its thread."""
        return self.pid == os.getpid() and not self.closing and self.thread.is_alive()

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Block this thread until the awaitable is done."""
        carried = _Carried(awaitable)
        try:  # from before it can begin: a signal may raise anywhere in here
            return _result(asyncio.run_coroutine_threadsafe(carried.run(), self.loop))
        except BaseException:  # also one raised here by a signal: Ctrl-C, prefork's SoftTimeLimitExceeded
            carried.abandoned = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and what ran on it
                self.loop.call_soon_threadsafe(carried.cancel)
            raise

    def close(self, grace_s: float) -> None:
        """Run what was registered by `at_close`, cancel what is left, and end the thread."""
        self.closing = True
        closing = asyncio.run_coroutine_threadsafe(self._wind_up(grace_s), self.loop)
        closing.add_done_callback(lambda _: self.loop.call_soon_threadsafe(self.loop.stop))
        self.thread.join(
            2 * grace_s + 1
        )  # a call that blocks the loop cannot be ended; the thread is a daemon
        self.executor.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    async def _wind_up(self, grace_s: float) -> None:
        farewells = [asyncio.ensure_future(_finish(callback())) for callback in reversed(self.at_close)]
        if farewells:
            await asyncio.wait(farewells, timeout=grace_s)
        for farewell in farewells:
            if farewell.done() and not farewell.cancelled() and (error := farewell.exception()):
                self.loop.call_exception_handler({"message": "a farewell failed", "exception": error})
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=grace_s)


def _result(future: "Future[T]") -> T:
    while True:
        try:
            return future.result(HEAR_S)
        except TimeoutError:
            if future.done():  # meanwhile, or by this very error
                return future.result()


class _Carried(Generic[T]):
    """An awaitable that another thread waits for, and may abandon before it has begun."""

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._awaitable = awaitable
        self._task: asyncio.Task[Any] | None = None
        self.abandoned = False

    async def run(self) -> T:
        self._task = asyncio.current_task()
        if self.abandoned:
            if asyncio.iscoroutine(self._awaitable):
                self._awaitable.close()  # else Python warns that it was never awaited
            raise asyncio.CancelledError
        return await self._awaitable

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


async def _finish(awaitable: Awaitable[T]) -> T:
    return await awaitable


class _Door:
    """Holds the process's loop. A fork leaves the parent's behind, kept alive but never touched: it
    shares its selector with the parent."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal handler may close what its own thread is opening
        self.current: ProcessLoop | None = None
        self.left_behind: list[ProcessLoop | None] = []
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.lock = threading.RLock()  # another thread may have held it
        self.left_behind.append(self.current)
        self.current = None

    def open(self) -> ProcessLoop:
        with self.lock:
            if self.current is None or not self.current.usable:
                self.current = ProcessLoop()
            return self.current

    def close(self, grace_s: float) -> None:
        with self.lock:
            current, self.current = self.current, None
        if current is not None and current.usable:
            current.close(grace_s)


_door = _Door()


def process_loop() -> ProcessLoop:
    """The process's loop with its thread; started on first use, and again after a fork or a close."""
    return _door.open()


def await_(awaitable: Awaitable[T]) -> T:
    """Wait for an awaitable from synchronous code; give its result or raise its error.

    In a task under the asyncio pool the greenlet is parked and the thread goes on; elsewhere the
    calling thread waits. An interrupt of the wait cancels the coroutine.

    Raises RuntimeError on the loop thread outside a task, where waiting would stop the loop.
    """
    current = getcurrent()
    if isinstance(current, TaskGreenlet):
        return current.job.wait(awaitable)
    home = process_loop()
    _refuse_on_loop_thread(home, awaitable, "await_() was called on the event loop's thread; use `await`")
    return home.wait(awaitable)


def blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what blocks (a synchronous client, heavy computing) without stopping the loop.

    In a task under the asyncio pool it runs in one of `BLOCKING_THREADS` threads while the greenlet
    is parked; elsewhere it is a plain call. Context variables are seen, writes to them are not kept.

    Raises RuntimeError on the loop thread outside a task: there, `await asyncio.to_thread(…)`.
    """
    if isinstance(getcurrent(), TaskGreenlet):
        return await_(asyncio.to_thread(function, *args, **kwargs))
    home = _door.current
    if home is not None:
        advice = "blocking() was called on the event loop's thread; use `await asyncio.to_thread(…)`"
        _refuse_on_loop_thread(home, None, advice)
    return function(*args, **kwargs)


def at_close(callback: Callable[[], Awaitable[object]]) -> None:
    """Have a coroutine function awaited on the loop when it closes (all such ones at once, within the grace).

    For what belongs to this process's loop: connections, a registration. A forked child does not inherit it.
    """
    process_loop().at_close.append(callback)


def close(grace_s: float = CLOSE_GRACE_S) -> None:
    """End the process's loop, if there is one: farewells, then cancellation, each within the grace.

    For in-process clients and workers at exit. Whoever enters later gets a new loop.
    """
    home = _door.current
    if home is not None:
        _refuse_on_loop_thread(
            home, None, "close() was called on the event loop's thread; call it from another"
        )
    _door.close(grace_s)


def _refuse_on_loop_thread(home: ProcessLoop, awaitable: Awaitable[object] | None, advice: str) -> None:
    if threading.current_thread() is not home.thread:
        return
    if asyncio.iscoroutine(awaitable):
        awaitable.close()  # else Python warns that it was never awaited
    raise RuntimeError(advice)
