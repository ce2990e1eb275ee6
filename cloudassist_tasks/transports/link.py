"""All connections to one instance, with their channels counted: who needs a channel asks here.

sshd serves at most 10 sessions on a connection (MaxSessions). Eight of them may follow runs; two stay free so
that a stop or a collect never waits behind runs. A ninth follower opens one more connection, which goes
when its last channel does. A connection that was lost is replaced at the next need.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import Enum, auto

from cloudassist_tasks.domain.errors import ErrorCode, LostContact, Unreachable
from cloudassist_tasks.domain.instance import HostFacts, Instance
from cloudassist_tasks.transports.channel import Channel, ChannelRefused, Connection
from cloudassist_tasks.transports.limits import ConnectLimits

__all__ = ["Link", "Purpose", "Side", "address_of"]

REFUSAL_PAUSE_S = 0.03
"""Before a refused channel is tried again: sshd frees a session when its process has ended, a little late."""


Dial = Callable[[Callable[[], None]], Awaitable[Connection]]


class Purpose(Enum):
    FOLLOW = auto()
    CONTROL = auto()


class Side(Enum):
    """As whom the helper is called: the login user, or root through sudo. Each has its own base."""

    LOGIN = auto()
    ROOT = auto()


def address_of(instance: Instance) -> str:
    """How texts name an instance: `i-1 (127.0.0.2:22)`."""
    return f"{instance.id} ({instance.host}:{instance.port})"


class _Line:
    """One connection and its channels."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.open: dict[Purpose, int] = {Purpose.FOLLOW: 0, Purpose.CONTROL: 0}


class Link:
    """The ways to one instance. `dial` makes one connection, or raises Unreachable; it calls what it is given
    when nothing answers."""

    def __init__(self, instance: Instance, dial: Dial, limits: ConnectLimits) -> None:
        self.instance = instance
        self.address = address_of(instance)
        self.limits = limits
        self.facts: dict[Side, HostFacts] = {}
        """What was learned over this link, newest; the transport's memory, not the store's."""
        self.preparing = asyncio.Lock()
        self._dial = dial
        self._lines: list[_Line] = []
        self._dialing: asyncio.Task[_Line] | None = None
        self._silent = False
        """The attempt under way was not answered for a second."""
        self._on_silence: set[Callable[[], object]] = set()
        self._freed: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def host_key(self) -> str | None:
        """The key that the host showed."""
        return next((line.connection.host_key for line in self._lines), None)

    @property
    def has_connection(self) -> bool:
        """Whether one is open now."""
        return bool(self._alive())

    async def connected(self, on_silence: Callable[[], object] | None = None) -> Connection:
        """A connection, made if there is none; whoever asks at the same time shares it, and is told by
        `on_silence` when nothing answers."""
        told = set() if on_silence is None else {on_silence}
        self._on_silence |= told
        try:
            while not self._alive():
                if self._silent and on_silence is not None:
                    on_silence()
                await self._more()
        finally:
            self._on_silence -= told
        return self._lines[0].connection

    async def open(self, command: str, purpose: Purpose) -> Channel:
        """Start a command on the host. Nothing was sent if this raises.

        Unreachable: no connection, or no channel within its deadline.
        """
        tries_left = 2  # a kept connection may have died unseen; a fresh one has not
        line: _Line | None = None
        try:
            async with asyncio.timeout(self.limits.channel_s) as deadline:
                while True:
                    line = await self._line_for(purpose, deadline)
                    try:
                        return await self._open_on(line, command, purpose)
                    except ChannelRefused:
                        await asyncio.sleep(REFUSAL_PAUSE_S * random.uniform(0.5, 1.5))
                    except LostContact as error:
                        await self._doubt(line)
                        tries_left -= 1
                        if not tries_left:
                            raise Unreachable(
                                ErrorCode.CLIENT_NOT_RESPONSE, error.info, retry_helps=True
                            ) from error
        except TimeoutError as error:
            if line is not None:
                await self._doubt(line)
            raise Unreachable(
                ErrorCode.CLIENT_NOT_RESPONSE,
                f"{self.address} opens no channel within {self.limits.channel_s:g} s: it is silent, its sshd"
                " is overloaded, or other sessions use up its MaxSessions; see the instance's sshd log",
                retry_helps=True,
            ) from error

    async def close(self) -> None:
        """End all connections."""
        self._closed = True
        if self._dialing is not None:
            self._dialing.cancel()
        lines, self._lines = self._lines, []
        await asyncio.gather(*(line.connection.close() for line in lines))

    def _alive(self) -> list[_Line]:
        self._lines = [line for line in self._lines if line.connection.alive]
        return self._lines

    async def _line_for(self, purpose: Purpose, deadline: asyncio.Timeout) -> _Line:
        """A connection with a free place, which is taken. Dialing has deadlines of its own."""
        limits = self.limits
        room = limits.follow_channels if purpose is Purpose.FOLLOW else limits.control_channels
        while True:
            lines = self._alive()
            for line in lines:
                if line.open[purpose] < room:
                    line.open[purpose] += 1
                    return line
            if lines and purpose is Purpose.CONTROL:
                await self._until_freed()
            else:
                deadline.reschedule(None)
                await self._more()
                deadline.reschedule(asyncio.get_running_loop().time() + limits.channel_s)

    async def _open_on(self, line: _Line, command: str, purpose: Purpose) -> Channel:
        """The place on the line is ours; it is given back by the channel, or here if there is none."""
        closed = False

        def give_back() -> None:
            nonlocal closed
            if not closed:
                closed = True
                self._give_back(line, purpose)

        try:
            return await line.connection.open(command, on_closed=give_back)
        except BaseException:
            give_back()
            raise

    def _give_back(self, line: _Line, purpose: Purpose) -> None:
        line.open[purpose] -= 1
        for waiter in self._freed:
            if not waiter.done():
                waiter.set_result(None)
        extra = len(self._lines) > 1 and line is not self._lines[0]
        if extra and line in self._lines and not any(line.open.values()):
            self._lines.remove(line)
            self._farewell(line)

    async def _until_freed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._freed.add(waiter)
        try:
            await waiter
        finally:
            self._freed.discard(waiter)

    async def _more(self) -> None:
        """One more connection; concurrent callers share the attempt and its failure."""
        if self._dialing is None or self._dialing.done():
            self._silent = False
            self._dialing = asyncio.create_task(self._dial_line())
            self._dialing.add_done_callback(self._dialed)
        await asyncio.shield(self._dialing)

    async def _dial_line(self) -> _Line:
        line = _Line(await self._dial(self._tell_silence))
        if self._closed:
            await line.connection.close()
            raise Unreachable(
                ErrorCode.CLIENT_NOT_ONLINE, f"{self.address}: the transport was closed", retry_helps=True
            )
        self._lines.append(line)
        return line

    def _tell_silence(self) -> None:
        self._silent = True
        for tell in self._on_silence:
            tell()

    def _dialed(self, task: asyncio.Task[_Line]) -> None:
        if self._dialing is task:
            self._dialing, self._silent = None, False
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, it is not worth a warning

    async def _doubt(self, line: _Line) -> None:
        """A channel could not be opened: give the connection up, unless others still use it with success."""
        if line in self._lines and not (line.connection.alive and any(line.open.values())):
            self._lines.remove(line)
            await line.connection.close()

    def _farewell(self, line: _Line) -> None:
        _running.add(task := asyncio.ensure_future(line.connection.close()))
        task.add_done_callback(_running.discard)


_running: set[asyncio.Future[None]] = set()
"""Closings under way; the event loop keeps only weak references to its tasks."""
