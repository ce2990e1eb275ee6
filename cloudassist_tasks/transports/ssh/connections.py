"""The connections that this process keeps: shared by who needs one at the same time, kept a little, bounded.

A connection belongs to a *registration*: the same id with another address, user, key or jump host is another
connection. Idle ones go after `keep_s`, or earlier when the process is at its bound.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Protocol, cast

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.domain.instance import Instance, SshEngine
from cloudassist_tasks.transports.channel import Connection
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import Link, address_of
from cloudassist_tasks.transports.ssh.failures import DroppedBeforeBanner
from cloudassist_tasks.transports.ssh.gate import ConnectGate, Turn

__all__ = ["KeptConnections"]

Key = tuple[object, ...]

ENGINES = {
    SshEngine.ASYNCSSH: "cloudassist_tasks.transports.ssh.asyncssh_engine",
    SshEngine.PARAMIKO: "cloudassist_tasks.transports.ssh.paramiko_engine",
}
"""Loaded when the first connection needs one: each costs a quarter of a second and 20 MB."""


class Connect(Protocol):
    """What an engine offers: one attempt to log in."""

    async def __call__(
        self,
        instance: Instance,
        limits: ConnectLimits,
        *,
        via: Connection | None,
        turn: Turn,
        on_lost: Callable[[], None],
    ) -> Connection: ...


class _Kept:
    """A link, who uses it, and when it goes."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.users = 0
        self.expiry: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        return self.users == 0


class KeptConnections:
    """All SSH connections of one event loop."""

    def __init__(self, limits: ConnectLimits, engine: SshEngine) -> None:
        self._limits = limits
        self._engine = engine
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        """Least recently used first."""
        self._gate = ConnectGate(limits)
        self._open = 0
        """Connections open or being opened."""
        self._waiting: set[asyncio.Future[None]] = set()
        self._closings: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Import the engine that most instances use, off the loop."""
        await asyncio.to_thread(import_module, ENGINES[self._engine])

    @asynccontextmanager
    async def hold(
        self, instance: Instance, jump: Sequence[Instance], on_silence: Callable[[], object] | None = None
    ) -> AsyncIterator[Link]:
        """A link with a working connection. Unreachable if there is none to be had."""
        key, kept = self._take(instance, tuple(jump), instance.engine or self._engine)
        try:
            await kept.link.connected(on_silence)
            yield kept.link
        finally:
            self._release(key, kept)

    async def close(self) -> None:
        """End all of them."""
        kept, self._kept = list(self._kept.values()), OrderedDict()
        for one in kept:
            if one.expiry is not None:
                one.expiry.cancel()
        await asyncio.gather(*(one.link.close() for one in kept), *self._closings)

    def _take(self, instance: Instance, jump: tuple[Instance, ...], engine: SshEngine) -> tuple[Key, _Kept]:
        key: Key = (engine, _registration(instance), *map(_registration, jump))
        kept = self._kept.get(key)
        if kept is None:
            kept = _Kept(Link(instance, partial(self._dial, instance, jump, engine), self._limits))
            self._kept[key] = kept
        self._kept.move_to_end(key)
        kept.users += 1
        if kept.expiry is not None:
            kept.expiry.cancel()
            kept.expiry = None
        return key, kept

    def _release(self, key: Key, kept: _Kept) -> None:
        kept.users -= 1
        if kept.users or self._kept.get(key) is not kept:
            return
        if not kept.link.has_connection:
            self._forget(key, kept)
        else:
            loop = asyncio.get_running_loop()
            kept.expiry = loop.call_later(self._limits.keep_s, self._forget, key, kept)
        self._wake()  # an idle connection may make room

    def _forget(self, key: Key, kept: _Kept) -> None:
        if kept.users or self._kept.get(key) is not kept:
            return
        if kept.expiry is not None:
            kept.expiry.cancel()
        del self._kept[key]
        closing = asyncio.ensure_future(kept.link.close())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    async def _dial(
        self,
        instance: Instance,
        jump: tuple[Instance, ...],
        engine: SshEngine,
        on_silence: Callable[[], None],
    ) -> Connection:
        """One connection; those that its server drops before the banner are tried again here."""
        if not jump:
            return await self._connect(instance, engine, None, on_silence, lambda: None)
        key, kept = self._take(jump[-1], jump[:-1], engine)
        try:
            via = await kept.link.connected(on_silence)
            return await self._connect(instance, engine, via, on_silence, lambda: self._release(key, kept))
        except BaseException:
            self._release(key, kept)
            raise

    async def _connect(
        self,
        instance: Instance,
        engine: SshEngine,
        via: Connection | None,
        on_silence: Callable[[], None],
        after: Callable[[], None],
    ) -> Connection:
        connect = cast(Connect, import_module(ENGINES[engine]).connect)
        pause_s = self._limits.banner_pause_s
        for tries_left in range(self._limits.banner_tries - 1, -1, -1):
            await self._make_room(instance)
            counted = _Counted(self, after)
            try:
                async with self._gate.turn(on_silence) as turn:
                    connection = await connect(
                        instance, self._limits, via=via, turn=turn, on_lost=counted.lost
                    )
            except BaseException as error:
                counted.give_up()
                if not isinstance(error, DroppedBeforeBanner):
                    raise
                self._gate.dropped()
                if not tries_left:
                    raise
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
                pause_s *= 2
            else:
                self._gate.succeeded()
                counted.opened()
                return connection
        raise AssertionError("banner_tries is at least 1")

    async def _make_room(self, instance: Instance) -> None:
        """Wait for a place among `max_connections`, which is taken."""
        limits = self._limits
        try:
            async with asyncio.timeout(limits.connect_s):
                while self._open >= limits.max_connections:
                    idle = next(((key, kept) for key, kept in self._kept.items() if kept.idle), None)
                    if idle is not None:
                        self._forget(*idle)
                    await self._until_woken()
        except TimeoutError as error:
            raise Unreachable(
                ErrorCode.CLIENT_NETWORK_BLOCKED,
                f"no connection to {address_of(instance)}: this worker has {limits.max_connections} open,"
                " all in use; add workers or raise the limit",
                retry_helps=True,
            ) from error
        self._open += 1

    async def _until_woken(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def connection_gone(self) -> None:
        """One place is free again."""
        self._open -= 1
        self._wake()


class _Counted:
    """A connection's place among the open ones: given back once, whatever happens in whatever order."""

    def __init__(self, connections: KeptConnections, after: Callable[[], None]) -> None:
        self._connections = connections
        self._after = after
        self._lost = False
        self._opened = False

    def lost(self) -> None:
        """The engine's word that the connection is gone."""
        if not self._lost:
            self._lost = True
            self._connections.connection_gone()
            if self._opened:
                self._after()

    def give_up(self) -> None:
        """It never came to be; whoever tried gives back the rest."""
        self._after = lambda: None
        self.lost()

    def opened(self) -> None:
        """It came to be, and may have been lost at once."""
        self._opened = True
        if self._lost:
            self._after()


def _registration(instance: Instance) -> Key:
    """What makes a connection another one."""
    return (
        instance.id, instance.host, instance.port, instance.user, instance.identity, instance.password,
        instance.host_key, instance.trust_on_first_use, instance.legacy_algorithms, instance.remote_base,
    )  # fmt: skip
