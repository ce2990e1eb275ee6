"""Connections and channels by paramiko: the second engine, for sites that have it approved.

paramiko gives each connection a thread that reads. It reports to the event loop through the events that
its own interface offers, so no further thread waits for anything: what a channel receives is taken by one
function that looks at standard output, standard error and the end together. Only calls that may send, and so
may block, go to a few threads; a connection that blocks them is closed by its watchdog.
"""

import asyncio
import socket
from collections.abc import Callable

import paramiko

from cloudassist_tasks.domain.errors import LostContact
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.transports.channel import Channel, ChannelRefused, Connection, Inbox
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import address_of
from cloudassist_tasks.transports.ssh import failures
from cloudassist_tasks.transports.ssh.credentials import credentials_of
from cloudassist_tasks.transports.ssh.gate import Turn
from cloudassist_tasks.transports.ssh.host_keys import HostKeyCheck
from cloudassist_tasks.transports.ssh.paramiko_login import log_in, negotiate, private_keys, refuse_legacy
from cloudassist_tasks.transports.ssh.paramiko_threads import (
    EngineTransport,
    Signal,
    in_thread,
    later,
    on_loop,
    shut,
)
from cloudassist_tasks.transports.ssh.tcp import connected_socket

__all__ = ["ParamikoConnection", "connect"]

TAKE_BYTES = 64 * 1024

WINDOW_BYTES = 2 * 1024 * 1024
"""What a host may send ahead. paramiko asks for more after each tenth of it, which is a send."""

COSTLY = {"kex": ["mlkem768x25519-sha256"]}
"""Not offered: the post-quantum exchange, which costs a client several times curve25519's CPU."""


async def connect(
    instance: Instance,
    limits: ConnectLimits,
    *,
    via: Connection | None,
    turn: Turn,
    on_lost: Callable[[], None],
) -> "ParamikoConnection":
    """Log in, through another connection of this engine if `via` is given. Unreachable if that fails."""
    refuse_legacy(instance)
    check = HostKeyCheck(instance)
    credentials = credentials_of(instance)
    keys = await in_thread(private_keys, instance, credentials)
    transport = EngineTransport(await _route(instance, limits, via, turn), disabled_algorithms=COSTLY)
    try:
        await negotiate(transport, instance, limits, check)
        await log_in(transport, instance, limits, credentials, keys)
    except BaseException:
        shut(transport)
        raise
    connection = ParamikoConnection(transport, instance, check, on_lost)
    connection.watch(limits)
    return connection


class ParamikoConnection:
    """One logged-in connection."""

    def __init__(
        self,
        transport: EngineTransport,
        instance: Instance,
        check: HostKeyCheck,
        on_lost: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.instance = instance
        self.host_key = check.seen
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._watchdog: asyncio.Task[None] | None = None
        transport.on_ended = lambda: on_loop(self._loop, on_lost)
        if not transport.is_active():  # it ended before it could be told to tell us
            on_lost()

    @property
    def alive(self) -> bool:
        return not self._closed and self.transport.is_active()

    async def open(self, command: str, *, on_closed: Callable[[], None]) -> Channel:
        opening = asyncio.ensure_future(self._open(command, on_closed))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # the server may still open it: a place in its MaxSessions
            opening.add_done_callback(_close_late)
            raise

    async def _open(self, command: str, on_closed: Callable[[], None]) -> "_Session":
        address = address_of(self.instance)
        try:
            channel = await in_thread(self.transport.open_session, window_size=WINDOW_BYTES)
        except paramiko.SSHException as error:  # refused; of several at once only one is told the reason
            if self.alive:
                raise ChannelRefused(str(error)) from error
            raise _lost(address, error) from error
        except (EOFError, OSError) as error:
            raise _lost(address, error) from error
        try:
            session = _Session(channel, self.transport, address, on_closed)
            await in_thread(channel.exec_command, command)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _lost(address, error) from error
        return session

    def watch(self, limits: ConnectLimits) -> None:
        """Close the connection's socket once it stops moving: that ends whatever waits for it."""
        self._watchdog = asyncio.ensure_future(self._watch(limits))

    async def _watch(self, limits: ConnectLimits) -> None:
        while self.alive:
            await asyncio.sleep(limits.keepalive_s)
            try:
                async with asyncio.timeout(limits.keepalive_s * limits.keepalive_misses):
                    await in_thread(self.transport.global_request, "keepalive@openssh.com")
            except TimeoutError:
                self.transport.stalled = True
                shut(self.transport)

    async def close(self) -> None:
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        shut(self.transport)


class _Session:
    """One command. `_take` runs on the loop whenever paramiko received something for it."""

    def __init__(
        self,
        channel: paramiko.Channel,
        transport: EngineTransport,
        address: str,
        on_closed: Callable[[], None],
    ) -> None:
        self._channel, self._transport, self._address = channel, transport, address
        self._on_closed = on_closed
        self._paused = False
        self._taking = False
        self._gone = asyncio.Event()
        self._inbox = Inbox(pause=self._pause, resume=self._resume)
        signal = Signal(self._take)
        channel.in_buffer.set_event(signal)
        channel.in_stderr_buffer.set_event(signal)

    def _pause(self) -> None:
        self._paused = True

    def _resume(self) -> None:
        self._paused = False
        self._take()

    def _take(self) -> None:
        """Move what has come to the inbox; nothing here waits."""
        channel = self._channel
        if self._taking:
            return
        closed, ended = channel.closed, channel.closed or channel.eof_received  # asked before what came
        while channel.recv_stderr_ready():
            if self._would_send():
                self._take_in_thread(channel.recv_stderr, self._inbox.feed_stderr)
                return
            self._inbox.feed_stderr(channel.recv_stderr(TAKE_BYTES))
        while channel.recv_ready() and not self._paused:
            if self._would_send():
                self._take_in_thread(channel.recv, self._inbox.feed)
                return
            self._inbox.feed(channel.recv(TAKE_BYTES))
        if ended and not channel.recv_ready():
            lost = not channel.eof_received and channel.exit_status < 0
            self._inbox.end(_lost(self._address, self._reason()) if lost else None)
        if closed and not self._gone.is_set():
            self._gone.set()
            self._on_closed()

    def _would_send(self) -> bool:
        """Whether taking more may tell the host to send on, which could block on a socket that is full."""
        return self._channel.in_window_sofar + TAKE_BYTES > self._channel.in_window_threshold

    def _take_in_thread(self, receive: Callable[[int], bytes], feed: Callable[[bytes], None]) -> None:
        self._taking = True

        def taken(future: asyncio.Future[bytes]) -> None:
            self._taking = False
            if not future.cancelled() and future.exception() is None:
                feed(future.result())
            self._take()

        asyncio.ensure_future(in_thread(receive, TAKE_BYTES)).add_done_callback(taken)

    def _reason(self) -> Exception | None:
        return TimeoutError("it gave no sign of life") if self._transport.stalled else None

    @property
    def stderr_tail(self) -> bytes:
        return self._inbox.stderr_tail

    async def read(self, max_bytes: int) -> bytes:
        return await self._inbox.read(max_bytes)

    async def write(self, data: bytes) -> None:
        try:
            await in_thread(self._channel.sendall, data)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _lost(self._address, error) from error

    def write_eof(self) -> None:
        later(self._channel.shutdown_write)

    async def exit_status(self) -> int | None:
        await self._gone.wait()
        status = self._channel.exit_status
        return status if status >= 0 else None

    def close(self) -> None:
        if not self._channel.closed:
            later(self._channel.close)


async def _route(
    instance: Instance, limits: ConnectLimits, via: Connection | None, turn: Turn
) -> socket.socket | paramiko.Channel:
    if via is None:
        return await turn.lent_to_silence(connected_socket(instance, limits))
    assert isinstance(via, ParamikoConnection)
    target, origin = (instance.host, instance.port), ("127.0.0.1", 0)
    try:
        return await in_thread(
            via.transport.open_channel, "direct-tcpip", target, origin, timeout=limits.connect_s
        )
    except paramiko.ChannelException as error:
        raise failures.jump_refused(instance, via.instance, error.text) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise failures.no_route(instance, f"seen from {via.instance.id}: {error}") from error


def _lost(address: str, error: Exception | None) -> LostContact:
    reason = f" ({error})" if error is not None and str(error) else ""
    return LostContact(
        f"lost contact with {address}{reason}; what runs there goes on and is looked for again"
    )


def _close_late(opening: "asyncio.Future[_Session]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
