"""How long this process has been awake: clocks that stand still while the process does.

A process may be stopped, or have no turn on a busy machine, for longer than what it waits for may take. Who
gives a host or a server up after some seconds counts them here: else one would be called silent that nobody
had listened to.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.5
LATE_S = 1.0
"""A tick that is later than this says that nothing else had a turn, either. So much of each sleep counts."""

WORTHWHILE_S = 0.05
"""What is left of a wait that is shorter is none."""


class timeout:  # noqa: N801 — stands where `asyncio.timeout` would
    """As `asyncio.timeout`: TimeoutError when what is inside takes longer. A part of it in which nothing else
    had a turn does not count: what came meanwhile is still to be heard. Who is always late waits for twice as
    many parts at most."""

    def __init__(self, limit_s: float) -> None:
        self._left = self._excused = max(1, math.ceil(limit_s / TICK_S))
        self._part_s = limit_s / self._left
        self._deadline = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._deadline.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.cancel()
        await self._deadline.__aexit__(kind, error, trace)

    def _wait(self) -> None:
        self._due_s = self._loop.time() + self._part_s
        self._next = self._loop.call_at(self._due_s, self._count)

    def _count(self) -> None:
        if self._excused and self._loop.time() - self._due_s > LATE_S:
            self._excused -= 1
        else:
            self._left -= 1
        if self._left:
            self._wait()
        else:
            self._deadline.reschedule(self._loop.time())


class Awake:
    """Of one event loop, from `begin` on; before, it is the loop's own clock."""

    def __init__(self) -> None:
        self._slept_s = 0.0
        self._due_s: float | None = None
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._slept_s += self._late_s(loop.time())
        self._due_s = loop.time() + TICK_S
        self._next = loop.call_at(self._due_s, self.begin)

    def end(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._due_s = None

    def time(self) -> float:
        """Seconds; only differences mean anything."""
        now = asyncio.get_running_loop().time()
        return now - self._slept_s - self._late_s(now)

    async def within(self, limit_s: float, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt gives, or TimeoutError; it is made anew when its time was slept away."""
        until = self.time() + limit_s
        while True:
            try:
                async with asyncio.timeout(until - self.time()) as deadline:
                    return await attempt()
            except TimeoutError:
                if not deadline.expired() or self.time() > until - WORTHWHILE_S:
                    raise

    def _late_s(self, now: float) -> float:
        return 0.0 if self._due_s is None else max(0.0, now - self._due_s - LATE_S)
