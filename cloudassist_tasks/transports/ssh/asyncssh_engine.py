"""Connections and channels by asyncssh: the default engine, one coroutine per run and no threads.

Channels use asyncssh's callback interface: a stream or process object would cost as much CPU again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import asyncssh

from cloudassist_tasks.domain.errors import LostContact, Unreachable
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.transports.channel import INBOX_BYTES, Channel, ChannelRefused, Connection, Inbox
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import address_of
from cloudassist_tasks.transports.ssh import failures
from cloudassist_tasks.transports.ssh.credentials import Credentials, credentials_of, unusable_identity
from cloudassist_tasks.transports.ssh.gate import Turn
from cloudassist_tasks.transports.ssh.host_keys import HostKeyCheck
from cloudassist_tasks.transports.ssh.tcp import connected_socket

__all__ = ["AsyncsshConnection", "connect"]

logging.getLogger("asyncssh").setLevel(logging.WARNING)  # at INFO it writes several lines per connection

KEY_EXCHANGES = (
    "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521", "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
)  # fmt: skip
"""By CPU: curve25519 costs 3.5 ms a connection, group14 26, group exchange 47, group16 88 (measured)."""

CIPHERS = (
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr",
    "chacha20-poly1305@openssh.com",
)  # fmt: skip

LEGACY: Mapping[str, tuple[str, ...]] = {
    "kex": ("diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1"),
    "ciphers": ("aes128-cbc", "aes256-cbc", "3des-cbc"),
    "signatures": ("ssh-rsa",),
}
"""What sshds of 2005 to 2013 know, offered last and only to instances registered so."""

SIGNATURES = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip

GOODBYE_S = 1.0
"""How long a closing connection may take to say so; then its socket is closed."""


async def connect(
    instance: Instance,
    limits: ConnectLimits,
    *,
    via: Connection | None,
    turn: Turn,
    on_lost: Callable[[], None],
) -> "AsyncsshConnection":
    """Log in, through another connection of this engine if `via` is given. Unreachable if that fails."""
    check = HostKeyCheck(instance)
    credentials = credentials_of(instance)
    keys = _keys(instance, credentials)
    client = _Client(check, on_lost)
    route = await _route(instance, limits, via, turn)
    try:
        async with asyncio.timeout(limits.banner_s) as deadline:
            client.deadline, client.auth_s = deadline, limits.auth_s
            connection = await asyncssh.connect(
                instance.host,
                instance.port,
                username=instance.user,
                client_factory=lambda: client,
                **route,
                **_options(instance, limits, check, credentials, keys),
            )
    except TimeoutError as error:
        if client.greeted:
            raise failures.auth_silent(instance, limits.auth_s) from error
        raise failures.banner_silent(instance, limits.banner_s) from error
    except (asyncssh.Error, OSError, ValueError) as error:
        raise _failure(error, instance, client, via, credentials) from error
    finally:
        if client.connection is None and "sock" in route:
            route["sock"].close()  # type: ignore[attr-defined]
    return AsyncsshConnection(connection, client, instance)


class AsyncsshConnection:
    """One logged-in connection."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, client: "_Client", instance: Instance
    ) -> None:
        self.connection = connection
        self.instance = instance
        self.host_key = client.check.seen
        self._client = client

    @property
    def alive(self) -> bool:
        return not self._client.lost

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
            _, session = await self.connection.create_session(
                lambda: _Session(address, on_closed),
                command,
                encoding=None,
                request_pty=False,
                window=2 * INBOX_BYTES,
            )
        except asyncssh.ChannelOpenError as error:
            if self.alive and error.code == asyncssh.OPEN_CONNECT_FAILED:
                raise ChannelRefused(error.reason) from error
            raise _lost(address, error) from error
        except (asyncssh.Error, OSError) as error:
            raise _lost(address, error) from error
        assert isinstance(session, _Session)
        return session

    async def close(self) -> None:
        self._client.lost = True
        self.connection.close()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self.connection.wait_closed()
        except TimeoutError:
            self.connection.abort()


class _Client(asyncssh.SSHClient):
    """What asyncssh tells about the connection: the host key to judge, and its loss."""

    def __init__(self, check: HostKeyCheck, on_lost: Callable[[], None]) -> None:
        self.check = check
        self.lost = False
        self.greeted = False
        """The key exchange is under way: the server is an SSH server that talks to us."""
        self.connection: asyncssh.SSHClientConnection | None = None
        self.deadline: asyncio.Timeout | None = None
        self.auth_s = 0.0
        self._on_lost = on_lost

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.greeted = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time() + self.auth_s)
        return self.check.accepts(key.get_algorithm(), key.public_data)

    def auth_completed(self) -> None:
        self.deadline = None  # later key exchanges show the key again

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._on_lost()

    @property
    def server_version(self) -> str:
        """Empty until the server has sent its banner."""
        version = self.connection.get_extra_info("server_version", "") if self.connection else ""
        return str(version)


class _Session(asyncssh.SSHClientSession[bytes]):
    """One command; asyncssh calls in, `Channel` is what others see."""

    def __init__(self, address: str, on_closed: Callable[[], None]) -> None:
        self._address = address
        self._on_closed = on_closed
        self._status: int | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan
        self._inbox = Inbox(pause=chan.pause_reading, resume=chan.resume_reading)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype is None:
            self._inbox.feed(data)
        else:
            self._inbox.feed_stderr(data)

    def eof_received(self) -> bool:
        self._inbox.end()
        return True  # our side stays open

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(_lost(self._address, exc) if exc is not None else None)
        self._gone.set()
        self._writable.set()
        self._on_closed()

    @property
    def stderr_tail(self) -> bytes:
        return self._inbox.stderr_tail

    async def read(self, max_bytes: int) -> bytes:
        return await self._inbox.read(max_bytes)

    async def write(self, data: bytes) -> None:
        try:
            self._channel.write(data)
        except OSError as error:
            raise _lost(self._address, error) from error
        if not self._writable.is_set():
            await self._writable.wait()
        if self._gone.is_set():
            raise _lost(self._address, None)

    def write_eof(self) -> None:
        if not self._gone.is_set():
            self._channel.write_eof()

    async def exit_status(self) -> int | None:
        await self._gone.wait()
        return self._status

    def close(self) -> None:
        self._channel.close()


async def _route(
    instance: Instance, limits: ConnectLimits, via: Connection | None, turn: Turn
) -> dict[str, object]:
    if via is None:
        return {"sock": await turn.lent_to_silence(connected_socket(instance, limits))}
    assert isinstance(via, AsyncsshConnection)
    return {"tunnel": via.connection}


def _options(
    instance: Instance,
    limits: ConnectLimits,
    check: HostKeyCheck,
    credentials: Credentials,
    keys: Sequence[object],
) -> dict[str, object]:
    """Everything that asyncssh would else read from ~/.ssh or guess is said here."""
    old = LEGACY if instance.legacy_algorithms else {}
    password = credentials.password.reveal() if credentials.password else None
    passwordless = ("publickey",)
    return {
        "config": None,
        "known_hosts": ([], [], []),  # none is trusted beforehand: the client judges every key
        "server_host_key_algs": list(check.algorithms),
        "kex_algs": [*KEY_EXCHANGES, *old.get("kex", ())],
        "encryption_algs": [*CIPHERS, *old.get("ciphers", ())],
        "signature_algs": [*SIGNATURES, *old.get("signatures", ())],
        "compression_algs": None,
        "client_keys": list(keys) or (() if credentials.agent else None),
        "agent_path": credentials.agent,
        "password": password,
        "preferred_auth": passwordless
        if password is None
        else (*passwordless, "password", "keyboard-interactive"),
        "gss_host": None,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": [],
        "login_timeout": 0,
        "keepalive_interval": limits.keepalive_s,
        "keepalive_count_max": limits.keepalive_misses,
    }


def _keys(instance: Instance, credentials: Credentials) -> list[object]:
    found: list[object] = []
    for path in credentials.identities:
        try:
            found += _read_key(path, path.stat().st_mtime_ns)
        except (OSError, asyncssh.KeyImportError) as error:  # also: encrypted
            if credentials.required:
                reason = (
                    getattr(error, "strerror", None) or "no private key that can be read without a passphrase"
                )
                raise unusable_identity(instance, path, reason) from error
    return found


@lru_cache(maxsize=256)
def _read_key(path: Path, _mtime_ns: int) -> tuple[object, ...]:
    """A key, before it with its certificate if one lies beside it. Kept: a connection would parse it anew."""
    key = asyncssh.read_private_key(path)
    certificate = path.with_name(path.name + "-cert.pub")
    if certificate.is_file():
        return ((key, asyncssh.read_certificate(certificate)), key)
    return (key,)


def _failure(
    error: Exception, instance: Instance, client: _Client, via: Connection | None, credentials: Credentials
) -> Unreachable:
    """The most specific of ours for what asyncssh raised while it connected."""
    if client.check.refusal is not None:
        return client.check.refusal
    if isinstance(error, asyncssh.ChannelOpenError):
        assert isinstance(via, AsyncsshConnection)
        return failures.jump_refused(instance, via.instance, error.reason)
    if isinstance(error, asyncssh.PermissionDenied):
        return failures.auth_refused(instance, credentials.tried)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return failures.algorithms_differ(instance, error.reason)
    if isinstance(error, asyncssh.DisconnectError) and "authentication" in error.reason.lower():
        return failures.auth_refused(instance, credentials.tried)
    if not client.server_version and isinstance(error, (asyncssh.ConnectionLost, OSError)):
        return failures.DroppedBeforeBanner(instance)
    if isinstance(error, (asyncssh.ConnectionLost, OSError)):
        return failures.dropped_in_login(instance, str(error))
    return failures.not_ssh(instance, str(error))


def _lost(address: str, error: Exception | None) -> LostContact:
    reason = f" ({error})" if error is not None and str(error) else ""
    return LostContact(
        f"lost contact with {address}{reason}; what runs there goes on and is looked for again"
    )


def _close_late(opening: "asyncio.Future[_Session]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
