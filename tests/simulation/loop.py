"""An event loop on which no time passes while there is something to do, and processes that can die.

When nothing is ready the clock jumps to the next timer. What is due at the same moment runs in the order in
which it was asked for, so one seed gives one course of events. Every callback belongs to the simulated
process in whose context it was made, or to the world outside all of them: the callbacks of a dead process
never run again, those of a paused one wait. So a kill runs no `finally`, as a kill -9 runs none.
"""

import asyncio
import contextvars
import gc
import heapq
import sys
import warnings
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto
from typing import Any, TypeVar

T = TypeVar("T")

STEPS_AT_ONE_MOMENT = 3_000_000
"""More without any time passing is a circle that never ends."""

COMPACT_ABOVE = 1_000
"""Cancelled timers are swept out once there are more of them than this, and than of the others."""


class Stuck(Exception):
    """Nothing will ever happen again, or nothing but the same for ever."""


class State(Enum):
    ALIVE = auto()
    PAUSED = auto()
    DEAD = auto()


class Process:
    """A simulated operating system process: the unit that dies, is stopped and goes on."""

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.loop = loop
        self.name = name
        self.state = State.ALIVE
        self._waiting: deque[asyncio.Handle] = deque()
        self.context = contextvars.Context()
        self.context.run(_process.set, self)

    @property
    def alive(self) -> bool:
        """Not dead; perhaps paused."""
        return self.state is not State.DEAD

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something in it."""
        return self.loop.create_task(work, context=self.context.copy())

    def call(self, callback: Callable[..., object], *args: object) -> None:
        """Have something from outside happen in it, now."""
        self.loop.call_soon(callback, *args, context=self.context)

    def kill(self) -> None:
        """As by SIGKILL."""
        self.state = State.DEAD
        self.loop.bury(self._waiting)
        self._waiting = deque()

    def pause(self) -> None:
        """As by SIGSTOP: timers become due meanwhile."""
        if self.state is State.ALIVE:
            self.state = State.PAUSED

    def resume(self) -> None:
        if self.state is State.PAUSED:
            self.state = State.ALIVE
            self.loop.take_up(self._waiting)
            self._waiting = deque()

    def hold(self, handle: asyncio.Handle) -> None:
        """What would run now and may not."""
        self._waiting.append(handle)


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)

WORLD = contextvars.Context()
"""Of what happens outside all processes: packets, hosts, the broker."""


def current_process() -> Process | None:
    """Whose code runs now."""
    return _process.get()


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as the engine uses; there are no sockets and no threads."""

    def __init__(self) -> None:
        self.now = 0.0
        self.unexpected: list[str] = []
        """What no code has caught."""
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._asked = 0
        self._cancelled = 0
        self._graves: list[object] = []
        self._closed = False

    # -- what asyncio calls

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._asked += 1
        heapq.heappush(self._timers, (when, self._asked, handle))
        handle._scheduled = True  # type: ignore[attr-defined]
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if not handle._scheduled:  # type: ignore[attr-defined]
            return
        self._cancelled += 1
        if self._cancelled > COMPACT_ABOVE and self._cancelled * 2 > len(self._timers):
            self._timers = [timer for timer in self._timers if not timer[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled = 1  # the one that is being cancelled

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unexpected.append(f"{context.get('message')}: {context.get('exception')!r}")

    # -- running

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Until `main` is done. `Stuck` if it never can be."""
        _set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._turn()
            return task.result()
        finally:
            _set_running_loop(None)

    def _turn(self) -> None:
        """Everything that is due at the next moment at which anything is."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
            self._cancelled -= 1
        if not self._ready:
            if not self._timers:
                raise Stuck("nothing is due any more, and the simulation has not ended")
            self.now = max(self.now, self._timers[0][0])
            while self._timers and self._timers[0][0] <= self.now:
                handle = heapq.heappop(self._timers)[2]
                handle._scheduled = False  # type: ignore[attr-defined]
                if handle.cancelled():
                    self._cancelled -= 1
                else:
                    self._ready.append(handle)
        self._run_ready()

    def _run_ready(self) -> None:
        ready, steps = self._ready, 0
        while ready:
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process: Process | None = handle._context.get(_process)  # type: ignore[attr-defined]
            if process is None or process.state is State.ALIVE:
                handle._run()
                steps += 1
                if steps > STEPS_AT_ONE_MOMENT:
                    raise Stuck(f"no time passes at {self.now:.3f} s; running: {handle!r}")
            elif process.state is State.PAUSED:
                process.hold(handle)
            else:
                self._graves.append(handle)

    def take_up(self, handles: deque[asyncio.Handle]) -> None:
        """What was held may run now."""
        self._ready.extend(handles)

    def bury(self, handles: deque[asyncio.Handle]) -> None:
        """Kept, so that nothing of a dead process is collected, which would run its `finally`s."""
        self._graves.append(handles)
        self._graves.append(asyncio.all_tasks(self))

    def close(self) -> None:
        """Everything that is left goes, unseen."""
        self._closed = True
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            with warnings.catch_warnings():  # of coroutines that never began
                warnings.simplefilter("ignore")
                for task in asyncio.all_tasks(self):
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _end(task.get_coro())
                self._ready.clear()
                self._timers.clear()
                self._graves.clear()
                gc.collect()
        finally:
            sys.unraisablehook = hook


def _end(coroutine: Any) -> None:
    for _ in range(5):  # a `finally` that waits keeps it from ending at once
        with suppress(BaseException):
            coroutine.close()
            return
