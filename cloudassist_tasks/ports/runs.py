"""Runs: who may move them, and how they move.

Each move passes the claim that it is made under. It takes the work of one run however large its
invocation is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus


class ClaimWord(StrEnum):
    HELD = "held"
    """It is ours."""
    FINAL = "final"
    """Nothing is left to do."""
    TAKEN = "taken"
    """Another live worker has it."""
    WAITS = "waits"
    """The instance, or the invocation, has its limit of runs; it is published again when one of them ends."""
    REFUSED = "refused"
    """Too many wait for the instance already: it was Aborted with TaskConcurrencyLimit in the same step."""
    CANCELLED = "cancelled"
    """The invocation was stopped, or halted after too many failures, before this run's first claim: it was
    Cancelled in the same step."""
    UNKNOWN = "unknown"
    """No such invocation or member (long forgotten)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The right to move a run. Every move passes it; a stale one is refused."""

    key: RunKey
    worker: WorkerId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    word: ClaimWord
    held: Held | None = None
    run: Run | None = None
    """As it stands after the claim; None where nothing was claimed."""
    instance: Instance | None = None
    """None: it is no longer registered."""
    contact: Contact | None = None
    unclaimed: int = 0
    """Published and unclaimed runs that the invocation has left: whether a batch is wanted."""
    unpublished: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    done: bool
    """False: the claim is stale, or the move is not legal from `status`."""
    status: RunStatus
    stop_requested: bool
    stale: bool = False
    """The claim is no longer ours: whatever we do, nothing is recorded. Let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    moved: Moved
    closed: bool = False
    """That was the last open run of the invocation."""
    next: RunKey | None = None
    """A run that waited for the instance and may be published now."""
    capped: bool = False
    """The invocation has caps, and this end makes room for another run, or is one failure too many."""


class Runs(Protocol):
    async def claim(
        self,
        key: RunKey,
        *,
        worker: WorkerId,
        now_ms: int,
        at_once: int,
        may_wait: int,
        force: bool = False,
    ) -> Claim:
        """Take a run: first claims count it out of the window. `at_once`, `may_wait`: the instance's limits.
        `force`: also from a worker that seems alive (a run whose time is over)."""

    async def commit_launching(self, held: Held, *, boot_id: str, deadline_ms: int, now_ms: int) -> Moved:
        """Phase Launching, before anything is sent. Not done if a stop was asked for. `deadline_ms`: when the
        run must have ended, its grace included."""

    async def started(self, held: Held, *, start_ms: int, now_ms: int) -> Moved:
        """Pending → Running."""

    async def record_output(self, held: Held, output: BoundedOutput, *, now_ms: int) -> Moved:
        """What has come so far; tells watchers. The status stays. Less than is there changes nothing."""

    async def finish(
        self,
        held: Held,
        outcome: Outcome,
        *,
        output: BoundedOutput,
        start_ms: int,
        finish_ms: int,
        now_ms: int,
    ) -> Finished:
        """The end: status, output, tally, claim and the instance's slot in one step. Refused (not done) when
        the outcome's status is not legal from where the run stands."""

    async def give_back(self, held: Held, *, look_at_ms: int, adrift: bool, now_ms: int) -> bool:
        """Give up the claim. `adrift`: the run goes on unfollowed and is collected at `look_at_ms`; else its
        message is published again then. False if the claim was stale."""

    async def get(self, key: RunKey) -> Run | None:
        """None if it does not belong to the invocation. A member that was never claimed is Pending."""

    async def get_many(
        self, invoke_id: InvokeId, ids: Sequence[InstanceId], *, round: int = 0
    ) -> Sequence[Run]:
        """In the order of `ids`, all of them members."""

    async def of(self, invocation: Invocation, ids: Sequence[InstanceId]) -> Sequence[Run]:
        """The part of each in an invocation or a round. In a schedule: its newest run, with the state that it
        has in the whole (Scheduled while it waits for the next)."""

    async def statuses_of(self, invocation: Invocation, ids: Sequence[InstanceId]) -> Sequence[RunStatus]:
        """The states alone; cheaper."""

    async def statuses(self, keys: Sequence[RunKey]) -> Sequence[RunStatus]:
        """Of runs of members; cheaper than reading the runs."""

    async def output(self, keys: Sequence[RunKey]) -> Sequence[BoundedOutput]: ...

    async def hurry(self, keys: Sequence[RunKey], *, now_ms: int) -> Sequence[RunKey]:
        """Somebody watches: those that are adrift become due now, to be followed again; they are returned."""

    async def adrift(self, instance_id: InstanceId) -> Sequence[RunKey]:
        """Runs let go on this instance."""

    async def take_due(
        self, *, now_ms: int, lease_ms: int, limit: int
    ) -> tuple[Sequence[RunKey], Sequence[InstanceId]]:
        """Runs to publish again, and instances to collect. They are due again after the lease if nobody
        claims them meanwhile."""

    async def take_overdue(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[RunKey]:
        """Open runs whose deadline is before `now_ms`, which may lie ahead; each is given to one caller per
        lease."""

    async def fence_later(self, key: RunKey, *, at_ms: int) -> None:
        """It was given up while its host was silent: its process must be stopped once the host answers."""

    async def take_fences(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[RunKey]: ...

    async def fenced(self, key: RunKey, *, late_result: str) -> None:
        """The host has answered; what it said is kept beside the final state."""
