"""The ways to an instance that one suite goes over, and the few words that its tests share."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloudassist_tasks.domain.instance import HostFacts, Instance, SshEngine, TransportKind
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.ports.transport import (
    Attachment,
    Ended,
    Event,
    Host,
    HostResult,
    Output,
    Payload,
    Reached,
)
from cloudassist_tasks.transports.choose import Transports
from cloudassist_tasks.transports.limits import ConnectLimits
from tests.support.sshd import Sshd

__all__ = ["PATIENT", "Way", "ended", "output_of", "payload", "run", "stopped"]

PATIENT = ConnectLimits(banner_s=60, auth_s=60, channel_s=60, answer_s=60)
"""Where a limit is not what a test is about, a busy machine may have the time that it needs."""


@dataclass
class Way:
    """One engine (or `local`) with its transports and its instances."""

    name: str
    sshd: Sshd
    transports: Transports

    @property
    def is_ssh(self) -> bool:
        return self.name != "local"

    def instance(self, instance_id: str = "i-1", host: str = "127.0.0.2", **changes: Any) -> Instance:
        kind = TransportKind.SSH if self.is_ssh else TransportKind.LOCAL
        return self.sshd.instance(instance_id, host, transport=kind, **changes)

    @asynccontextmanager
    async def reach(
        self, instance: Instance | None = None, *, facts: HostFacts | None = None, **options: Any
    ) -> AsyncIterator[Reached]:
        async with self.transports.reach(instance or self.instance(), facts=facts, **options) as reached:
            yield reached


def transports(name: str, limits: ConnectLimits | None = None) -> Transports:
    """Transports whose default engine is `name`, patient if not told otherwise; local is allowed."""
    engine = SshEngine(name) if name != "local" else SshEngine.ASYNCSSH
    return Transports(engine=engine, allow_local=True, limits=limits or PATIENT)


def payload(script: str | bytes, **changes: Any) -> Payload:
    """A script with small bounds; `changes` are fields of `Payload`."""
    text = script.encode() if isinstance(script, str) else script
    whole = Payload(script=Secret(text), timeout_s=60, head_bytes=6144, tail_bytes=18432)
    return replace(whole, **changes)


async def run(host: Host, run_id: str, script: str | bytes, *, user: str = "", **changes: Any) -> list[Event]:
    """Launch a script and follow it to its end."""
    attachment = await host.launch(run_id, user=user)
    await attachment.begin(payload(script, user=user, **changes))
    events = [event async for event in attachment.events()]
    await attachment.close()
    return events


def ended(events: list[Event]) -> HostResult:
    """The result, which must be the last event."""
    assert isinstance(events[-1], Ended), events
    return events[-1].result


def output_of(events: list[Event]) -> bytes:
    """All output, gaps left out."""
    return b"".join(event.data for event in events if isinstance(event, Output))


async def stopped(attachment: Attachment, host: Host, run_id: str) -> None:
    """End a run that a test leaves behind."""
    await attachment.close()
    await host.cancel(run_id, user="")


def forget_helper(sshd: Sshd) -> None:
    """Delete what was installed, as an administrator might."""
    for base in Path(sshd.directory).glob("base*"):
        shutil.rmtree(base / "bin", ignore_errors=True)
