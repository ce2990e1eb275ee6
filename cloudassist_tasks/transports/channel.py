"""The narrow seam beneath the protocol: a connection opens channels, a channel is one command's streams.

Two SSH engines and the local transport implement it; everything above is the same for all of them.
No method waits for ever: opening has a deadline of its own, and a connection that stops moving is closed
by its engine, which ends every read with `LostContact`.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from cloudassist_tasks.domain.errors import LostContact

__all__ = ["Channel", "ChannelRefused", "Connection", "Inbox"]

KEPT_STDERR_BYTES = 1024
"""How much of a command's standard error is kept, from its end, for error texts."""

INBOX_BYTES = 256 * 1024
"""Unread bytes at which a sender is paused."""


class ChannelRefused(Exception):
    """The server opens no further channel now (sshd's MaxSessions); a later try may succeed."""


class Channel(Protocol):
    """One command on the host. Its standard error is drained always."""

    async def read(self, max_bytes: int) -> bytes:
        """Bytes of standard output, as soon as there are any; b"" at the end. LostContact if it broke."""

    async def write(self, data: bytes) -> None:
        """Hand bytes to standard input; returns when no more than a window of them waits here."""

    def write_eof(self) -> None:
        """End standard input."""

    async def exit_status(self) -> int | None:
        """Wait until the command has ended; None if its end is not known."""

    @property
    def stderr_tail(self) -> bytes:
        """The end of what the command wrote to standard error."""

    def close(self) -> None:
        """Let go of the command. Idempotent; does not wait."""


class Connection(Protocol):
    """A logged-in connection to one instance."""

    host_key: str | None
    """The key that the host showed, `ssh-ed25519 AAAA…`; None where there is none (local)."""

    @property
    def alive(self) -> bool:
        """False once it is known to be lost or closed."""

    async def open(self, command: str, *, on_closed: Callable[[], None]) -> Channel:
        """Start a command in the login shell. `on_closed` is called once the channel is gone on both sides.

        ChannelRefused if the server has no room; LostContact if the connection is gone or does not answer.
        """

    async def close(self) -> None:
        """End it, with all channels. Idempotent."""


class Inbox:
    """What a channel has received and nobody has read. Filled by callbacks, read by one coroutine."""

    def __init__(self, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume
        self._paused = False
        self._data = bytearray()
        self._stderr = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: LostContact | None = None

    @property
    def stderr_tail(self) -> bytes:
        return bytes(self._stderr)

    def feed(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= INBOX_BYTES and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def feed_stderr(self, data: bytes) -> None:
        self._stderr += data
        del self._stderr[:-KEPT_STDERR_BYTES]

    def end(self, error: LostContact | None = None) -> None:
        """No more will come. Only the first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
        self._wake()

    async def read(self, max_bytes: int) -> bytes:
        while not self._data:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(self._data[:max_bytes])
        del self._data[:max_bytes]
        if self._paused and len(self._data) < INBOX_BYTES:
            self._paused = False
            self._resume()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
