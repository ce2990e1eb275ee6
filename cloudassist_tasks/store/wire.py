"""One connection to the server that carries the commands of many coroutines at once.

Commands of one turn of the loop leave in one write, and replies are handed out in order: a tenth of the
processor time of a pool of connections (`bench/store.py`), and thousands of runs need one socket.
It knows bytes and order only. Whatever breaks it ends it, and fails what is under way.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

Word = str | bytes | int | float
Command = Sequence[Word]


class WireBroken(ConnectionError):
    """The connection has ended; whether commands under way were carried out is unknown."""


class WireSilent(WireBroken):
    """The server did not answer in time."""


class Wire(asyncio.Protocol):
    """Made by `open_unix` or `open_tcp`; of no use once `broken` is set."""

    def __init__(self, answer_within_s: float) -> None:
        self.broken: WireBroken | None = None
        self._loop = asyncio.get_running_loop()
        self._answer_within_s = answer_within_s
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    def send(self, command: Command) -> asyncio.Future[Any]:
        """Its reply, or a `hiredis.ReplyError` as a value; fails with `WireBroken`."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.broken is not None:
            reply.set_exception(self.broken)
            return reply
        packed = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(packed)
        self._waiting.append((self._loop.time(), reply))
        if self._watch is None:
            self._watch = self._loop.call_later(self._answer_within_s, self._look)
        return reply

    def close(self) -> None:
        """End the connection."""
        self._end(WireBroken("closed"))

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                _, future = self._waiting.popleft()
                if not future.done():  # its caller may have been cancelled
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._end(WireBroken(f"what answers does not speak the protocol ({error})"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(WireBroken(str(exc) if exc else "the server has closed the connection"))

    # -- inside

    def _flush(self) -> None:
        if self._transport is not None and self.broken is None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _look(self) -> None:
        """End the wire if its oldest command has waited too long; else look again when it would have."""
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][0] + self._answer_within_s - self._loop.time()
        if left <= 0:
            self._end(WireSilent(f"no answer within {self._answer_within_s:g} s"))
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _end(self, reason: WireBroken) -> None:
        if self.broken is not None:
            return
        self.broken = reason
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(reason)
                future.exception()  # a caller that was cancelled does not look; that is no news
        self._waiting.clear()


async def open_unix(path: str, answer_within_s: float) -> Wire:
    """`OSError` if nothing listens there."""
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_unix_connection(lambda: Wire(answer_within_s), path)
    return wire


async def open_tcp(host: str, port: int, tls: ssl.SSLContext | None, answer_within_s: float) -> Wire:
    """`OSError` if nothing listens there. Asyncio sets TCP_NODELAY itself."""
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(lambda: Wire(answer_within_s), host, port, ssl=tls)
    return wire
