"""`cloudassist serve`: be the HTTP endpoint.

The server runs on the process's loop, where the plane's adapters are too; this thread waits for it and
hears the signals.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cloudassist_tasks import config, logs, runtime
from cloudassist_tasks.cli.processes import DESCRIPTOR
from cloudassist_tasks.cli.render import line

__all__ = ["ENDPOINT_ADDRESS", "ENDPOINT_PORT", "serve"]

ENDPOINT_PORT = 8080
ENDPOINT_ADDRESS = "127.0.0.1"

Address = Annotated[str, typer.Option("--address", help="Where it listens; 0.0.0.0: on every interface.")]
Certificate = Annotated[
    Path | None, typer.Option("--certificate", metavar="FILE", help="PEM, with its chain: speak TLS.")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The certificate's key, PEM.")]


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free one.")] = ENDPOINT_PORT,
    address: Address = ENDPOINT_ADDRESS,
    certificate: Certificate = None,
    key: Key = None,
) -> None:
    """Be the HTTP endpoint: the vendor's SDK and CLI, and `Client(url, key)`, talk to it. Ctrl-C ends it."""
    from cloudassist_tasks import wiring  # loads celery and the adapters: not for `--help`
    from cloudassist_tasks.api.app import application
    from cloudassist_tasks.api.listening import Listening
    from cloudassist_tasks.api.server import Server

    settings = config.load()
    logs.configure(settings.log_level)
    given = os.environ.get(DESCRIPTOR)
    listening = Listening(
        address=address,
        port=port,
        certificate=certificate,
        key=key,
        descriptor=int(given) if given else None,
    )
    servers = wiring.find_servers(settings)
    try:
        plane = runtime.await_(wiring.open_plane(settings, servers))
        try:
            ending = asyncio.Event()
            server = Server(application(plane, ending), listening, ending)
            line(f"listening on {server.url}")
            with _ended_by_signals(server.stop):
                runtime.await_(server.run())
        finally:
            runtime.await_(plane.close())
    finally:
        runtime.close()
        servers.release()


@contextmanager
def _ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the server in order; a second SIGINT interrupts."""
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        if heard and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard.append(number)
        stop()

    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
