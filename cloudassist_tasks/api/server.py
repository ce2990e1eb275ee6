"""The endpoint's server: uvicorn with h11, on the event loop that the plane belongs to."""

import asyncio
import resource
import socket
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from cloudassist_tasks.api.protocol import MAX_HEAD_BYTES, EndpointProtocol
from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["Listening", "Server"]

KEEP_ALIVE_S = 75
"""How long an idle connection is kept. Longer than load balancers do (60 s), so that they end it first."""

SHUTDOWN_WITHIN_S = 5
"""How long calls may take to end at a shutdown; what is left then is answered 503."""

MOST_FILES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen, and with what."""

    address: str = "127.0.0.1"
    port: int = 8080
    """0: any free one."""
    certificate: Path | None = None
    """PEM, with its chain. With it and its key the endpoint speaks TLS."""
    key: Path | None = None


class Server:
    """Listens from the moment it is made; answers while `run` runs."""

    def __init__(self, app: ASGIApp, listening: Listening, ending: asyncio.Event) -> None:
        """`ending`: set when it begins to end, for pages that wait.

        `Refused(BAD_SETTING)`: the address is taken, or the certificate cannot be used."""
        _raise_file_limit()
        self._listening = listening
        self._config = _config(app, listening)
        self._socket = _bound(listening)
        self._server = _Uvicorn(self._config, ending)

    @property
    def url(self) -> str:
        """Where it can be reached from this machine."""
        host, port = self._socket.getsockname()[:2]
        scheme = "https" if self._listening.certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Answer until `stop`; calls that are being answered then are answered first."""
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """End soon. May be called in a signal's handler."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    """Says when it begins to end."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.set()
        await super().shutdown(sockets)


def _config(app: ASGIApp, listening: Listening) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=EndpointProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_WITHIN_S,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )
    if (listening.certificate is None) != (listening.key is None):
        raise Refused(Kind.BAD_SETTING, "TLS needs a certificate and its key; give both, or neither")
    try:
        config.load()
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise Refused(
            Kind.BAD_SETTING, f"cannot use the certificate {listening.certificate} with its key: {error}"
        ) from error
    return config


def _bound(listening: Listening) -> socket.socket:
    """Made by hand: asyncio turns off Nagle's algorithm only for sockets that say TCP, and the two parts of
    an answer would wait 40 ms for each other."""
    family = socket.AF_INET6 if ":" in listening.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((listening.address, listening.port))
        listener.listen(1_024)
    except OSError as error:
        listener.close()
        raise Refused(
            Kind.BAD_SETTING,
            f"cannot listen on {listening.address} port {listening.port}: {error.strerror or error};"
            " choose another --port or --address",
        ) from error
    return listener


def _raise_file_limit() -> None:
    """Each connection is an open file; the usual limit of 1,024 would be met before ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
