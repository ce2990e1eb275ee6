"""Connections and channels by paramiko: the second engine, for sites that have it approved.

paramiko gives each connection a thread that reads. It reports to the event loop through the events that
its own interface offers, so no further thread waits for anything: what a channel receives is taken by one
function that looks at standard output, standard error and the end together. Only calls that may send, and so
may block, go to a few threads of this module; a connection that blocks them is closed by its watchdog.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import paramiko
from paramiko.pkey import UnknownKeyType

from cloudassist_tasks.domain.errors import ErrorCode, LostContact, Unreachable
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.transports.channel import Channel, ChannelRefused, Connection, Inbox
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import address_of
from cloudassist_tasks.transports.ssh import failures
from cloudassist_tasks.transports.ssh.credentials import Credentials, credentials_of, unusable_identity
from cloudassist_tasks.transports.ssh.host_keys import HostKeyCheck
from cloudassist_tasks.transports.ssh.tcp import connected_socket

__all__ = ["ParamikoConnection", "connect"]

T = TypeVar("T")
P = ParamSpec("P")

logging.getLogger("paramiko").setLevel(
    logging.CRITICAL
)  # it logs errors with tracebacks, and raises them too

THREADS = 64
"""For calls that may block: opening a channel, sending. A thousand held runs use none."""

TAKE_BYTES = 64 * 1024

WINDOW_BYTES = 2 * 1024 * 1024
"""What a host may send ahead. paramiko asks for more after each tenth of it, which is a send."""

KEPT_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")

COSTLY = {"kex": ["mlkem768x25519-sha256"]}
"""Not offered: the post-quantum exchange, which costs a client several times curve25519's CPU."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="paramiko-send")


async def connect(
    instance: Instance, limits: ConnectLimits, *, via: Connection | None, on_lost: Callable[[], None]
) -> "ParamikoConnection":
    """Log in, through another connection of this engine if `via` is given. Unreachable if that fails."""
    _refuse_legacy(instance)
    check = HostKeyCheck(instance)
    credentials = credentials_of(instance)
    keys = await _in_thread(_keys, instance, credentials)
    transport = _Transport(await _route(instance, limits, via), disabled_algorithms=COSTLY)
    try:
        await _negotiate(transport, instance, limits, check)
        await _log_in(transport, instance, limits, credentials, keys)
    except BaseException:
        _shut(transport)
        raise
    connection = ParamikoConnection(transport, instance, check, on_lost)
    connection.watch(limits)
    return connection


class ParamikoConnection:
    """One logged-in connection."""

    def __init__(
        self,
        transport: "_Transport",
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
        transport.on_ended = lambda: _on_loop(self._loop, on_lost)
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
            channel = await _in_thread(self.transport.open_session, window_size=WINDOW_BYTES)
        except paramiko.SSHException as error:  # refused; of several at once only one is told the reason
            if self.alive:
                raise ChannelRefused(str(error)) from error
            raise _lost(address, error) from error
        except (EOFError, OSError) as error:
            raise _lost(address, error) from error
        try:
            session = _Session(channel, self.transport, address, on_closed)
            await _in_thread(channel.exec_command, command)
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
                    await _in_thread(self.transport.global_request, "keepalive@openssh.com")
            except TimeoutError:
                self.transport.stalled = True
                _shut(self.transport)

    async def close(self) -> None:
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        _shut(self.transport)


class _Transport(paramiko.Transport):
    """paramiko's connection thread, told to us when it ends."""

    # Private in paramiko 5.1 (0.1 s there): how often each idle connection's thread wakes up to see that it
    # was closed. Ours are closed by shutting the socket, which wakes them; 1,000 idle connections took 36 %
    # of a core without this.
    _active_check_timeout = 10.0

    on_ended: Callable[[], None] | None = None
    stalled = False

    def run(self) -> None:
        try:
            super().run()
        finally:
            if self.on_ended is not None:
                self.on_ended()


class _Signal(threading.Event):
    """An event whose setting, by paramiko's thread, calls a function on the loop."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._call = call
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        super().set()
        _on_loop(self._loop, self._call)


class _Session:
    """One command. `_take` runs on the loop whenever paramiko received something for it."""

    def __init__(
        self,
        channel: paramiko.Channel,
        transport: _Transport,
        address: str,
        on_closed: Callable[[], None],
    ) -> None:
        self._channel, self._transport, self._address = channel, transport, address
        self._on_closed = on_closed
        self._paused = False
        self._taking = False
        self._gone = asyncio.Event()
        self._inbox = Inbox(pause=self._pause, resume=self._resume)
        signal = _Signal(self._take)
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

        asyncio.ensure_future(_in_thread(receive, TAKE_BYTES)).add_done_callback(taken)

    def _reason(self) -> Exception | None:
        return TimeoutError("it gave no sign of life") if self._transport.stalled else None

    @property
    def stderr_tail(self) -> bytes:
        return self._inbox.stderr_tail

    async def read(self, max_bytes: int) -> bytes:
        return await self._inbox.read(max_bytes)

    async def write(self, data: bytes) -> None:
        try:
            await _in_thread(self._channel.sendall, data)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _lost(self._address, error) from error

    def write_eof(self) -> None:
        _later(self._channel.shutdown_write)

    async def exit_status(self) -> int | None:
        await self._gone.wait()
        status = self._channel.exit_status
        return status if status >= 0 else None

    def close(self) -> None:
        if not self._channel.closed:
            _later(self._channel.close)


async def _route(
    instance: Instance, limits: ConnectLimits, via: Connection | None
) -> socket.socket | paramiko.Channel:
    if via is None:
        return await connected_socket(instance, limits)
    assert isinstance(via, ParamikoConnection)
    target, origin = (instance.host, instance.port), ("127.0.0.1", 0)
    try:
        return await _in_thread(
            via.transport.open_channel, "direct-tcpip", target, origin, timeout=limits.connect_s
        )
    except paramiko.ChannelException as error:
        raise failures.jump_refused(instance, via.instance, error.text) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise failures.no_route(instance, f"seen from {via.instance.id}: {error}") from error


async def _negotiate(
    transport: _Transport, instance: Instance, limits: ConnectLimits, check: HostKeyCheck
) -> None:
    """Banner, key exchange, and the judgement on the host's key."""
    options = transport.get_security_options()
    options.ciphers = KEPT_CIPHERS
    options.key_types = check.algorithms
    transport.banner_timeout = transport.handshake_timeout = limits.banner_s
    done = asyncio.Event()
    transport.start_client(event=_Signal(done.set))
    try:
        async with asyncio.timeout(limits.banner_s):
            await done.wait()
    except TimeoutError as error:
        raise failures.banner_silent(instance, limits.banner_s) from error
    if not transport.is_active():
        reason = transport.get_exception()
        raise _handshake_failure(reason, instance, transport) from reason
    key = transport.get_remote_server_key()
    if not check.accepts(key.get_name(), key.asbytes()):
        assert check.refusal is not None
        raise check.refusal


def _handshake_failure(error: BaseException | None, instance: Instance, transport: _Transport) -> Unreachable:
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return failures.algorithms_differ(instance, str(error))
    if "Indecipherable" in str(error) or "Invalid SSH banner" in str(error):
        return failures.not_ssh(instance, "its first line is no SSH banner")
    if not transport.remote_version:
        return failures.DroppedBeforeBanner(instance)
    return failures.dropped_in_login(instance, str(error) or "without a reason")


async def _log_in(
    transport: _Transport,
    instance: Instance,
    limits: ConnectLimits,
    credentials: Credentials,
    keys: Sequence[paramiko.PKey],
) -> None:
    try:
        async with asyncio.timeout(limits.auth_s):
            for key in keys:
                if await _try(transport, transport.auth_publickey, instance.user, key):
                    return
            if credentials.password is not None:
                secret = credentials.password.reveal()
                if await _try(transport, transport.auth_password, instance.user, secret):
                    return
    except TimeoutError as error:
        raise failures.auth_silent(instance, limits.auth_s) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if transport.is_active() or "authentication" in str(error).lower():
            raise failures.auth_refused(instance, credentials.tried) from error
        raise failures.dropped_in_login(instance, str(error) or "without a reason") from error
    raise failures.auth_refused(instance, credentials.tried)


async def _try(transport: _Transport, way: Callable[..., list[str]], user: str, secret: object) -> bool:
    """One way to log in; False if the server refuses it and may take another."""
    try:
        await _in_thread(way, user, secret)
    except (paramiko.AuthenticationException, paramiko.SSHException):
        if not transport.is_active():
            raise
    return transport.is_authenticated()


def _keys(instance: Instance, credentials: Credentials) -> list[paramiko.PKey]:
    found: list[paramiko.PKey] = []
    for path in credentials.identities:
        try:
            found.append(_read_key(path, path.stat().st_mtime_ns))
        except (OSError, ValueError, TypeError, paramiko.SSHException, UnknownKeyType) as error:
            if credentials.required:
                reason = (
                    getattr(error, "strerror", None) or "no private key that can be read without a passphrase"
                )
                raise unusable_identity(instance, path, reason) from error
    if credentials.agent is not None:
        found += paramiko.Agent().get_keys()
    return found


@lru_cache(maxsize=256)
def _read_key(path: Path, _mtime_ns: int) -> paramiko.PKey:
    """Kept: a connection would parse it anew."""
    return paramiko.PKey.from_path(path)


def _refuse_legacy(instance: Instance) -> None:
    if instance.legacy_algorithms:
        raise Unreachable(
            ErrorCode.CLIENT_NOT_ONLINE,
            f"{address_of(instance)} wants legacy algorithms, which paramiko no longer knows;"
            " let the engine asyncssh reach it",
            retry_helps=False,
        )


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: call(*args, **kwargs))


def _later(call: Callable[[], object]) -> None:
    """Send in a thread; a connection that is gone needs no goodbye."""

    def quietly() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            call()

    _threads.submit(quietly)


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed before its connections
        loop.call_soon_threadsafe(call)


def _shut(transport: _Transport) -> None:
    """End a connection by its socket, which wakes its thread at once; the rest follows there."""

    def end() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            transport.sock.shutdown(socket.SHUT_RDWR)
        transport.close()

    _threads.submit(end)


def _lost(address: str, error: Exception | None) -> LostContact:
    reason = f" ({error})" if error is not None and str(error) else ""
    return LostContact(
        f"lost contact with {address}{reason}; what runs there goes on and is looked for again"
    )


def _close_late(opening: "asyncio.Future[_Session]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
