"""How many connects run at once in this process: many on a wide network, few against one crowded sshd.

Instances may share an sshd that we cannot know of (addresses of one machine, a balancer), and sshd drops
unauthenticated connections at random once it has more than MaxStartups (default 10:30:100). So the bound
halves when a connection is dropped before its banner, and grows by one for each `GROW_AFTER` that succeed.
A host that is gone takes no turn from those that are there: see `Turn.lent_to_silence`.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType

from cloudassist_tasks.transports.limits import ConnectLimits

__all__ = ["ConnectGate", "Turn"]

GROW_AFTER = 4

SILENT_AFTER_S = 1.0
"""Whoever has not even answered on TCP by then has nothing to be spared: others use the turn meanwhile."""


class ConnectGate:
    """`async with gate.turn():` around one connect; tell `dropped` or `succeeded` what became of it."""

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

    def turn(self, on_silence: Callable[[], None] = lambda: None) -> "Turn":
        return Turn(self, on_silence)

    async def enter(self) -> None:
        """Wait for a turn; each is given back by `leave`."""
        if self._inside < self.bound and not self._waiting:
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever wakes us has counted us in
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        self._inside -= 1
        while self._waiting and self._inside < self.bound:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)


class Turn:
    """One turn at a gate; `on_silence` is called when it is lent."""

    def __init__(self, gate: ConnectGate, on_silence: Callable[[], None]) -> None:
        self._gate = gate
        self._on_silence = on_silence
        self._held = False

    async def __aenter__(self) -> "Turn":
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    async def lent_to_silence(self, connecting: Awaitable[socket.socket]) -> socket.socket:
        """The socket, once it is connected. While the host does not answer, others have the turn."""
        giving_back = asyncio.get_running_loop().call_later(SILENT_AFTER_S, self._lend)
        try:
            connected = await connecting
        finally:
            giving_back.cancel()
        if not self._held:
            try:
                await self._take()
            except BaseException:
                connected.close()
                raise
        return connected

    def _lend(self) -> None:
        self._give_back()
        self._on_silence()

    async def _take(self) -> None:
        await self._gate.enter()
        self._held = True

    def _give_back(self) -> None:
        if self._held:
            self._held = False
            self._gate.leave()
