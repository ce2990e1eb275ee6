"""What a command works with: the control plane of the installation that the environment selects.

With `CLOUDASSIST_URL` and `CLOUDASSIST_ACCESS_KEY` (`id:secret`) that is an endpoint, wherever it is; else
it is this machine's own installation.
"""

import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from cloudassist_tasks import config, runtime
from cloudassist_tasks.cli.errors import OperationFailed
from cloudassist_tasks.client.sender import Sender
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.errors import CloudAssistError, Kind, Refused

if TYPE_CHECKING:  # all ports of the engine: not for a command that sends nothing, or sends it over HTTP
    from cloudassist_tasks.engine.plane import Plane
    from cloudassist_tasks.ports.workers import WorkerInfo

__all__ = ["Session", "live_workers", "opened"]

T = TypeVar("T")

URL = "CLOUDASSIST_URL"
ACCESS_KEY = "CLOUDASSIST_ACCESS_KEY"
CA_FILE = "CLOUDASSIST_CA_FILE"


class Session:
    """Sends operations. Coroutines run on the process's loop; a Ctrl-C cancels the one that is waited for."""

    def __init__(self, sender: Sender, plane: "Plane | None" = None) -> None:
        """`plane`: where the installation is at home."""
        self.sender = sender
        self._plane = plane

    @property
    def at_home(self) -> bool:
        """Whether the plane itself is here."""
        return self._plane is not None

    @property
    def plane(self) -> "Plane":
        """`Refused(BAD_SETTING)` where it is elsewhere."""
        if self._plane is None:
            raise Refused(
                Kind.BAD_SETTING,
                f"this needs the installation itself, not its endpoint; unset {URL} where it runs",
            )
        return self._plane

    async def send(self, operation: Operation[R]) -> R:
        """The result; a failure knows its operation, so that it can be told with the vendor's code."""
        try:
            return await self.sender.send(operation)
        except CloudAssistError as error:
            raise OperationFailed(type(operation), error) from error

    def ask(self, operation: Operation[R]) -> R:
        """As `send`, from synchronous code."""
        return runtime.await_(self.send(operation))

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait for a coroutine that sends several."""
        return runtime.await_(awaitable)


async def live_workers(plane: "Plane", kind: str = "worker") -> "list[WorkerInfo]":
    """Workers (or beats) that were heard of within the lease."""
    oldest_ms = plane.clock.now_ms() - int(plane.settings.lease_s * 1000)
    return [one for one in await plane.store.workers.all() if one.kind == kind and one.seen_ms >= oldest_ms]


@contextmanager
def opened() -> Iterator[Session]:
    """A session; its store, connections and loop are gone afterwards."""
    if url := os.environ.get(URL):
        yield from _opened_there(url)
    else:
        yield from _opened_here()


def _opened_there(url: str) -> Iterator[Session]:
    from cloudassist_tasks.client.http import HttpSender  # not for a command that sends nothing

    sender = HttpSender(url, os.environ.get(ACCESS_KEY, ""), ca_file=os.environ.get(CA_FILE) or None)
    try:
        yield Session(sender)
    finally:
        runtime.await_(sender.close())
        runtime.close()


def _opened_here() -> Iterator[Session]:
    """This machine may be probed from its own command line; whether runs may use it is for the workers."""
    from cloudassist_tasks import wiring  # loads celery and the adapters: not for `--help`

    settings = replace(config.load(), allow_local=True)
    servers = wiring.find_servers(settings)
    try:
        plane = runtime.await_(wiring.open_plane(settings, servers))
        try:
            yield Session(wiring.sender_of(plane), plane)
        finally:
            runtime.await_(plane.close())
    finally:
        runtime.close()
        servers.release()
