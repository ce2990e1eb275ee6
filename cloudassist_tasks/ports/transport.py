"""What the engine needs of a way to an instance.

A `Transport` reaches an instance and hands out a `Host`: the helper that runs there, spoken to over
one kept connection. Operations of a host are safe to repeat; the host itself starts a run at most once.

Errors: `Unreachable` before anything was sent, `LostContact` when a channel broke; both carry the run's
code and a text for people. Every wait has a deadline: no call hangs.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cloudassist_tasks.domain.boot import Boot
from cloudassist_tasks.domain.command import TerminationMode
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.instance import HostFacts, Instance
from cloudassist_tasks.domain.outcome import HostWord
from cloudassist_tasks.domain.secret import Secret


class HostState(StrEnum):
    """What the host knows of a run."""

    ABSENT = "absent"
    PREPARED = "prepared"
    """An upload was seen; the run has not started and may be launched."""
    RUNNING = "running"
    ORPHAN = "orphan"
    """Its supervisor is gone, the script runs on; timeout and cancel still work."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The script, ready to run: parameters are already in it."""

    script: Secret[bytes]
    timeout_s: int
    user: str = ""
    cwd: str = ""
    mode: TerminationMode = TerminationMode.PROCESS_TREE
    launcher: Secret[str] | None = None
    """Command line with `{{ACS::ScriptFileName}}` still in it; none: the script's own shebang, or sh."""
    grace_s: int = 0
    head_bytes: int
    tail_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """The published end of a run. Never changes once seen."""

    word: HostWord
    code: str = ""
    """The helper's reason: AccountNotExists, InstanceRebooted, SupervisorKilled, NotStarted, …"""
    detail: str = ""
    exit_code: int | None = None
    total_bytes: int = 0
    dropped_bytes: int = 0
    started_ago_ms: int | None = None
    """How long before this answer the script started; None if it never did. Host clocks decide nothing."""
    ended_ago_ms: int = 0
    unkilled: bool = False
    """A stop or timeout left a process that cannot be killed (uninterruptible)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """The first answer on a channel, before anything was committed."""

    state: HostState
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The script has started, so long ago."""

    ago_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Bytes of the run's stream. Offsets only grow; a gap means that the host has dropped the middle."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    result: HostResult


Event = Started | Output | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one look at a run showed."""

    state: HostState
    boot_id: str
    output: Sequence[Output] = ()
    result: HostResult | None = None
    """Present if and only if the state is DONE."""


class Attachment(Protocol):
    """One open channel to one run."""

    greeting: Greeting

    async def begin(self, payload: Payload) -> None:
        """Send the script. Only after `launch` greeted with ABSENT or PREPARED. Until this has been sent in
        whole the host commits nothing."""

    def events(self) -> AsyncIterator[Event]:
        """What happens, until `Ended` (always the last). `LostContact` if the channel breaks first."""

    async def acknowledge(self) -> None:
        """After `Ended` was stored: the host may drop the bulk of it."""

    async def close(self) -> None:
        """Let go: the run goes on. Idempotent."""


class Host(Protocol):
    """The helper on one instance, over one connection. Methods may be called concurrently."""

    @property
    def facts(self) -> HostFacts:
        """The newest: others than `Reached` had, if the helper had to be installed since."""

    async def launch(self, run_id: str, *, user: str) -> Attachment:
        """Open a channel for a run, which runs as `user` (empty: root if possible, else the login user)."""

    async def follow(self, run_id: str, *, user: str, offset: int) -> Attachment:
        """Attach to a started run; output comes from `offset` on. Greets ABSENT or PREPARED if it never
        started, and then has no events."""

    async def cancel(self, run_id: str, *, user: str) -> Report:
        """Kill the run, or make sure that it can never start. The report says which; state DONE means that
        it is verified."""

    async def collect(self, offsets: Mapping[str, int], *, user: str) -> Mapping[str, Report]:
        """One look at many runs: by run id, with output from the given offset on. Does not wait."""

    async def acknowledge(self, run_ids: Sequence[str], *, user: str) -> None:
        """The results are stored: the host may drop script and output; a late launch stays refused."""

    async def boot(self) -> Boot:
        """Asked now: which boot it is in (another id after each), and for how long."""

    async def zone(self) -> str:
        """Its time zone, asked now; empty: it says none that schedules take."""

    async def sweep(self, retention_days: int) -> None:
        """Drop what is older than the retention. Once a day per host is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A host, and what reaching it taught us. New facts and a host key first seen are to be kept."""

    host: Host
    facts: HostFacts
    prepared: bool
    """The helper was installed just now."""
    host_key: str | None = None
    """Recorded on first use, for an instance that trusts it; None: the known one matched."""


class Transport(Protocol):
    """Reaches instances. One per process; keeps connections for a short time and closes idle ones."""

    def reach(
        self,
        instance: Instance,
        *,
        facts: HostFacts | None,
        jump: Sequence[Instance] = (),
        prepare: bool = False,
        on_silence: Callable[[], object] | None = None,
    ) -> AbstractAsyncContextManager[Reached]:
        """A connection to the instance, shared with others that reach it at the same time.

        `facts`: what is known from earlier; without them, or if they prove stale, or with `prepare`, the
        helper is installed first. `jump`: the instances to pass, nearest first. `on_silence` is called when
        nothing answers for a second where we connect to ourselves (it, or its first jump): whoever waits
        behind this attempt may go first. One
        attempt within the connect deadlines; raises `Unreachable`.
        """

    async def load(self) -> None:
        """Load the code that the first contact needs, so that no run waits for it."""

    async def close(self) -> None:
        """End all connections; runs on hosts go on."""


__all__ = [
    "Attachment", "Ended", "ErrorCode", "Event", "Greeting", "Host", "HostResult", "HostState", "HostWord",
    "Output", "Payload", "Reached", "Report", "Started", "Transport",
]  # fmt: skip
