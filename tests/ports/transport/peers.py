"""What may answer at an instance's port instead of a healthy sshd, or stand in front of it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

__all__ = ["Proxy", "closed_port", "full_listener", "proxy_to", "talker"]


class Proxy:
    """Forwards to a real sshd until it is told to stop."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = 0
        self.forwarded = 0
        """Bytes from the client that went on to the sshd."""
        self.cut_after: int | None = None
        """Cut every connection once so many have."""
        self.freeze_after: int | None = None
        """Freeze once so many have."""
        self.frozen = False
        """Forward nothing more, answer nothing, close nothing."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers += [writer, there_writer]
        for source, target, counted in ((reader, there_writer, True), (there_reader, writer, False)):
            pump = asyncio.create_task(self._pump(source, target, counted=counted))
            self._pumps.add(pump)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(512):
                if self.frozen:
                    continue
                if counted:
                    self.forwarded += len(data)
                    if self.freeze_after is not None and self.forwarded >= self.freeze_after:
                        self.frozen = True
                        continue
                    if self.cut_after is not None and self.forwarded >= self.cut_after:
                        for writer in self._writers:
                            writer.transport.abort()
                        return
                target.write(data)
                await target.drain()
            target.close()


@contextlib.asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of the sshd at `port`."""
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


@contextlib.asynccontextmanager
async def talker(greeting: bytes, *, hang_up: bool = False) -> AsyncIterator[int]:
    """The port of a server that says this to whoever connects, and then nothing."""
    writers = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(greeting)
        if hang_up:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of all loopback addresses at which nobody listens. It is taken, so that nobody else gets it."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        yield int(taken.getsockname()[1])


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """The port of a listener that accepts nobody and whose queue is full: a connect gets no answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port
