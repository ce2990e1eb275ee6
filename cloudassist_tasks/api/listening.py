"""Where the endpoint listens.

Apart from the server, since `cloudassist up` listens itself and hands the socket to the process that answers:
calls wait in it while that one is started again.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["Listening", "bound", "inherited", "url_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen, and with what."""

    address: str = "127.0.0.1"
    port: int = 8080
    """0: any free one."""
    certificate: Path | None = None
    """PEM, with its chain. With it and its key the endpoint speaks TLS."""
    key: Path | None = None
    descriptor: int | None = None
    """Of a socket that listens already, in place of address and port."""


def bound(address: str, port: int) -> socket.socket:
    """Made by hand: asyncio turns off Nagle's algorithm only for sockets that say TCP, and the two parts of
    an answer would wait 40 ms for each other. `Refused(BAD_SETTING)`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1_024)
    except OSError as error:
        listener.close()
        raise Refused(
            Kind.BAD_SETTING,
            f"cannot listen on {address} port {port}: {error.strerror or error};"
            " choose another --port or --address",
        ) from error
    return listener


def inherited(descriptor: int) -> socket.socket:
    """The socket that whoever started this process listens on."""
    return socket.socket(fileno=descriptor)


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """How it is reached from this machine."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
