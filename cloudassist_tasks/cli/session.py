"""What a command works with: the control plane of the installation that the environment selects."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from cloudassist_tasks import config, runtime
from cloudassist_tasks.cli.errors import OperationFailed
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.errors import CloudAssistError
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.sender import InProcessSender
from cloudassist_tasks.ports.store import WorkerInfo

__all__ = ["Session", "live_workers", "opened"]

T = TypeVar("T")


class Session:
    """Sends operations. Coroutines run on the process's loop; a Ctrl-C cancels the one that is waited for."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.sender = InProcessSender(plane)

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


async def live_workers(plane: Plane, kind: str = "worker") -> list[WorkerInfo]:
    """Workers (or beats) that were heard of within the lease."""
    oldest_ms = plane.clock.now_ms() - int(plane.settings.lease_s * 1000)
    return [one for one in await plane.store.workers.all() if one.kind == kind and one.seen_ms >= oldest_ms]


@contextmanager
def opened() -> Iterator[Session]:
    """A session; its store, connections and loop are gone afterwards.

    This machine may be probed from its own command line; whether runs may use it is the workers' setting.
    """
    from cloudassist_tasks import wiring  # loads celery and the adapters: not for `--help`

    settings = replace(config.load(), allow_local=True)
    servers = wiring.find_servers(settings)
    try:
        plane = runtime.await_(wiring.open_plane(settings, servers))
        try:
            yield Session(plane)
        finally:
            runtime.await_(plane.close())
    finally:
        runtime.close()
        servers.release()
