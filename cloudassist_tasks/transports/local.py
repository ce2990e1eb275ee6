"""The `Transport` port on this machine: the same helper, its channels are child processes.

Off unless the settings allow it, since whoever may run commands then runs them as the worker. A run outlives
the worker: the helper puts it into a session of its own.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from cloudassist_tasks.domain.errors import ErrorCode, LostContact, Unreachable
from cloudassist_tasks.domain.instance import HostFacts, Instance
from cloudassist_tasks.ports.transport import Reached
from cloudassist_tasks.transports.channel import Channel, Inbox
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import Link
from cloudassist_tasks.transports.remote.reaching import reached

__all__ = ["ALLOWED_BY", "LocalTransport"]

ALLOWED_BY = "CLOUDASSIST_ALLOW_LOCAL=1"

LOGIN_SHELL = "/bin/sh"

GOODBYE_S = 2.0
"""How long channels may take to end when the transport closes."""


class LocalTransport:
    """Reaches this machine, as the user that runs the worker."""

    def __init__(self, limits: ConnectLimits, *, allow_local: bool) -> None:
        self._limits = limits
        self._allowed = allow_local
        self._links: dict[tuple[str, str | None], Link] = {}

    @asynccontextmanager
    async def reach(
        self,
        instance: Instance,
        *,
        facts: HostFacts | None,
        jump: Sequence[Instance] = (),
        prepare: bool = False,
        on_silence: Callable[[], object] | None = None,
    ) -> AsyncIterator[Reached]:
        """As the port says; Unreachable where it is not allowed: a run on it ends and says why."""
        if not self._allowed:
            raise Unreachable(
                ErrorCode.CLIENT_NOT_ONLINE,
                f"{instance.id} is this machine itself, and running commands on it is off;"
                f" set {ALLOWED_BY} for the workers to allow it",
                retry_helps=False,
            )
        key = (instance.id, instance.remote_base)
        if key not in self._links:
            self._links[key] = Link(instance, _dial, self._limits)
        yield await reached(self._links[key], facts, prepare_anew=prepare)

    async def load(self) -> None:
        """All of it is loaded."""

    async def close(self) -> None:
        links, self._links = self._links, {}
        for link in links.values():
            await link.close()


async def _dial(_: Callable[[], None]) -> "LocalConnection":
    return LocalConnection()


class LocalConnection:
    """Nothing to connect to: it keeps its children, so as to let go of them."""

    host_key: str | None = None

    def __init__(self) -> None:
        self.alive = True
        self._channels: set[_Process] = set()

    async def open(self, command: str, *, on_closed: Callable[[], None]) -> Channel:
        channel = _Process(functools.partial(self._ended, on_closed))
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: channel, LOGIN_SHELL, "-c", command, start_new_session=True
            )
        except OSError as error:  # no processes or descriptors left
            raise LostContact(f"this machine starts no further process ({error.strerror})") from error
        self._channels.add(channel)
        return channel

    def _ended(self, on_closed: Callable[[], None], channel: "_Process") -> None:
        self._channels.discard(channel)
        on_closed()

    async def close(self) -> None:
        self.alive = False
        await asyncio.gather(*(channel.let_go() for channel in self._channels))


class _Process(asyncio.SubprocessProtocol):
    """One child as a channel."""

    def __init__(self, on_closed: Callable[["_Process"], None]) -> None:
        self._on_closed = on_closed
        self._status: int | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._exited = asyncio.Event()
        self._gone = asyncio.Event()
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        stdout, stdin = transport.get_pipe_transport(1), transport.get_pipe_transport(0)
        assert isinstance(stdout, asyncio.ReadTransport)
        assert isinstance(stdin, asyncio.WriteTransport)
        self._stdin = stdin
        self._inbox = Inbox(pause=stdout.pause_reading, resume=stdout.resume_reading)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._inbox.feed(data)
        else:
            self._inbox.feed_stderr(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self._inbox.end()
        elif fd == 0:
            self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def process_exited(self) -> None:
        self._status = self._transport.get_returncode()
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end()
        self._transport.close()
        self._gone.set()
        self._on_closed(self)

    @property
    def stderr_tail(self) -> bytes:
        return self._inbox.stderr_tail

    async def read(self, max_bytes: int) -> bytes:
        return await self._inbox.read(max_bytes)

    async def write(self, data: bytes) -> None:
        if self._stdin.is_closing():
            raise LostContact("the helper on this machine ended before it had read everything")
        self._stdin.write(data)
        await self._writable.wait()

    def write_eof(self) -> None:
        self._stdin.close()

    async def exit_status(self) -> int | None:
        await self._exited.wait()
        return self._status

    def close(self) -> None:
        """The end of its input makes the helper let go; what it started goes on."""
        if not self._closed:
            self._closed = True
            self._stdin.close()

    async def let_go(self) -> None:
        """Close, and see the helper's end of the channel end; one that lingers is ended (its run is not)."""
        self.close()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._gone.wait()
        except TimeoutError:
            self._transport.close()
