"""Log in by paramiko: banner, key exchange, the host's key, then the ways that an instance allows."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import address_of
from cloudassist_tasks.transports.ssh import failures
from cloudassist_tasks.transports.ssh.credentials import Credentials, unusable_identity
from cloudassist_tasks.transports.ssh.host_keys import HostKeyCheck
from cloudassist_tasks.transports.ssh.paramiko_threads import EngineTransport, Signal, in_thread

__all__ = ["log_in", "negotiate", "private_keys", "refuse_legacy"]

KEPT_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")


async def negotiate(
    transport: EngineTransport, instance: Instance, limits: ConnectLimits, check: HostKeyCheck
) -> None:
    """Banner, key exchange, and the judgement on the host's key."""
    options = transport.get_security_options()
    options.ciphers = KEPT_CIPHERS
    options.key_types = check.algorithms
    transport.banner_timeout = transport.handshake_timeout = limits.banner_s
    done = asyncio.Event()
    transport.start_client(event=Signal(done.set))
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


def _handshake_failure(
    error: BaseException | None, instance: Instance, transport: EngineTransport
) -> Unreachable:
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return failures.algorithms_differ(instance, str(error))
    if "Indecipherable" in str(error) or "Invalid SSH banner" in str(error):
        return failures.not_ssh(instance, "its first line is no SSH banner")
    if not transport.remote_version:
        return failures.DroppedBeforeBanner(instance)
    return failures.dropped_in_login(instance, str(error) or "without a reason")


async def log_in(
    transport: EngineTransport,
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


async def _try(transport: EngineTransport, way: Callable[..., list[str]], user: str, secret: object) -> bool:
    """One way to log in; False if the server refuses it and may take another."""
    try:
        await in_thread(way, user, secret)
    except (paramiko.AuthenticationException, paramiko.SSHException):
        if not transport.is_active():
            raise
    return transport.is_authenticated()


def private_keys(instance: Instance, credentials: Credentials) -> list[paramiko.PKey]:
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


def refuse_legacy(instance: Instance) -> None:
    if instance.legacy_algorithms:
        raise Unreachable(
            ErrorCode.CLIENT_NOT_ONLINE,
            f"{address_of(instance)} wants legacy algorithms, which paramiko no longer knows;"
            " let the engine asyncssh reach it",
            retry_helps=False,
        )
