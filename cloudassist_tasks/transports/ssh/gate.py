"""How many connects run at once in this process: many on a wide network, few against one crowded sshd.

Instances may share an sshd that we cannot know of (addresses of one machine, a balancer), and sshd drops
unauthenticated connections at random once it has more than MaxStartups (default 10:30:100). So the bound
halves when a connection is dropped before its banner, and grows by one for each `GROW_AFTER` that succeed.
"""

import asyncio
from collections import deque
from types import TracebackType

from cloudassist_tasks.transports.limits import ConnectLimits

__all__ = ["ConnectGate"]

GROW_AFTER = 4


class ConnectGate:
    """`async with gate:` around one connect; tell `dropped` or `succeeded` what became of it."""

    def __init__(self, limits: ConnectLimits) -> None:
        self._most = limits.max_connecting
        self._least = min(limits.min_connecting, limits.max_connecting)
        self._bound = float(self._most)
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def bound(self) -> int:
        """How many may be inside now."""
        return int(self._bound)

    def dropped(self) -> None:
        self._bound = max(self._least, self._bound / 2)

    def succeeded(self) -> None:
        self._bound = min(self._most, self._bound + 1 / GROW_AFTER)

    async def __aenter__(self) -> None:
        if self._inside < self.bound and not self._waiting:
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever wakes us has counted us in
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        while self._waiting and self._inside < self.bound:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)
