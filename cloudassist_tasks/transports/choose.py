"""One `Transport` for all instances: each goes the way it was registered for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from cloudassist_tasks.domain.instance import HostFacts, Instance, SshEngine, TransportKind
from cloudassist_tasks.ports.transport import Reached, Transport
from cloudassist_tasks.transports.limits import ConnectLimits

__all__ = ["Transports"]


class Transports:
    """Implements the port; ways are loaded at their first use. One per event loop."""

    def __init__(
        self,
        *,
        engine: SshEngine = SshEngine.ASYNCSSH,
        allow_local: bool = False,
        limits: ConnectLimits | None = None,
    ) -> None:
        self._engine = engine
        self._allow_local = allow_local
        self._limits = limits or ConnectLimits()
        self._ways: dict[TransportKind, Transport] = {}

    def reach(
        self,
        instance: Instance,
        *,
        facts: HostFacts | None,
        jump: Sequence[Instance] = (),
        prepare: bool = False,
        on_silence: Callable[[], object] | None = None,
    ) -> AbstractAsyncContextManager[Reached]:
        way = self._way(instance.transport)
        return way.reach(instance, facts=facts, jump=jump, prepare=prepare, on_silence=on_silence)

    async def load(self) -> None:
        await self._way(TransportKind.SSH).load()

    async def close(self) -> None:
        ways, self._ways = self._ways, {}
        for way in ways.values():
            await way.close()

    def _way(self, kind: TransportKind) -> Transport:
        if kind not in self._ways:
            self._ways[kind] = self._make(kind)
        return self._ways[kind]

    def _make(self, kind: TransportKind) -> Transport:
        if kind is TransportKind.LOCAL:
            from cloudassist_tasks.transports.local import LocalTransport

            return LocalTransport(self._limits, allow_local=self._allow_local)
        from cloudassist_tasks.transports.ssh.transport import SshTransport

        return SshTransport(self._limits, self._engine)
