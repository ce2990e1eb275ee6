"""The `Transport` port over SSH."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from cloudassist_tasks.domain.instance import HostFacts, Instance, SshEngine
from cloudassist_tasks.ports.transport import Reached
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.remote.reaching import reached
from cloudassist_tasks.transports.ssh.connections import KeptConnections

__all__ = ["SshTransport"]


class SshTransport:
    """Reaches instances by SSH, with the instance's engine or `engine`."""

    def __init__(self, limits: ConnectLimits, engine: SshEngine) -> None:
        self._connections = KeptConnections(limits, engine)

    @asynccontextmanager
    async def reach(
        self,
        instance: Instance,
        *,
        facts: HostFacts | None,
        jump: Sequence[Instance] = (),
        prepare: bool = False,
        on_silence: Callable[[], object] | None = None,
    ) -> AsyncIterator[Reached]:
        async with self._connections.hold(instance, jump, on_silence) as link:
            yield await reached(link, facts, prepare_anew=prepare)

    async def load(self) -> None:
        await self._connections.load()

    async def close(self) -> None:
        await self._connections.close()
