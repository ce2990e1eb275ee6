"""The endpoint's server: uvicorn with h11, on the event loop that the plane belongs to."""

import asyncio
import resource
import socket

import uvicorn
from starlette.types import ASGIApp

from cloudassist_tasks.api.listening import Listening, bound, inherited, url_of
from cloudassist_tasks.api.protocol import MAX_HEAD_BYTES, EndpointProtocol
from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["Server"]

KEEP_ALIVE_S = 75
"""How long an idle connection is kept. Longer than load balancers do (60 s), so that they end it first."""

SHUTDOWN_WITHIN_S = 5
"""How long calls may take to end at a shutdown; what is left then is answered 503."""

MOST_FILES = 4_096


class Server:
    """Listens from the moment it is made; answers while `run` runs."""

    def __init__(self, app: ASGIApp, listening: Listening, ending: asyncio.Event) -> None:
        """`ending`: set when it begins to end, for pages that wait.

        `Refused(BAD_SETTING)`: the address is taken, or the certificate cannot be used."""
        _raise_file_limit()
        self._config = _config(app, listening)
        self._socket = (
            bound(listening.address, listening.port)
            if listening.descriptor is None
            else inherited(listening.descriptor)
        )
        self.url = url_of(self._socket, tls=listening.certificate is not None)
        """Where it can be reached from this machine."""
        self._server = _Uvicorn(self._config, ending)

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


def _raise_file_limit() -> None:
    """Each connection is an open file; the usual limit of 1,024 would be met before ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
