"""The truth, as the engine sees it.

Every method is one atomic step unless it says otherwise. Moves of runs take the work of one run however
large its invocation is. The store decides no policy: which moves are legal, how many may wait, when a
claim is stale come as arguments. `now_ms` is always the Clock's.

Errors: `Broken` when the store cannot be reached or answers nonsense; `Refused` where a method says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, InvocationSpec, Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.access_keys import AccessKeys
from cloudassist_tasks.ports.audit import Audit
from cloudassist_tasks.ports.events import Events
from cloudassist_tasks.ports.listing import Candidates, CommandFilter, InvocationFilter, Page, RunPlace
from cloudassist_tasks.ports.nonces import Nonces
from cloudassist_tasks.ports.outbox import Outbox
from cloudassist_tasks.ports.power import PowerRecords
from cloudassist_tasks.ports.schedules import Schedules
from cloudassist_tasks.ports.tagging import Tags

# -- commands and instances


class Commands(Protocol):
    async def add(self, command: Command, *, quota: int) -> None:
        """Keep a command. `Refused(COMMAND_QUOTA)` if as many are kept already."""

    async def get(self, command_id: CommandId) -> Command | None: ...

    async def replace(self, command: Command) -> None:
        """Name, description, directory, timeout, launcher, tags change. `Refused(COMMAND_NOT_FOUND)`."""

    async def remove(self, command_id: CommandId) -> None:
        """`Refused(COMMAND_NOT_FOUND)`; `Refused(COMMAND_IN_USE)` while an invocation of it is open."""

    async def count(self) -> int: ...

    async def page(
        self,
        wanted: CommandFilter,
        *,
        limit: int,
        cursor: str = "",
        skip: int = 0,
        count: bool = False,
    ) -> Page[Command]:
        """Those that fit, the one made last first, from indexes. `Refused(BAD_NEXT_TOKEN)`."""


class Instances(Protocol):
    async def add(self, instances: Sequence[Instance], *, replace: bool = False) -> None:
        """Register all or none. `Refused(INSTANCE_EXISTS)` naming the first known one, unless `replace`."""

    async def remove(self, instance_id: InstanceId) -> None:
        """`Refused(INSTANCE_NOT_FOUND)`; `Refused(INSTANCE_IN_USE)` while a run of it is open."""

    async def get(self, instance_id: InstanceId) -> Instance | None: ...

    async def get_many(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """The known ones among them."""

    async def all(self) -> Sequence[Instance]:
        """Every instance as it is now, in natural order of the ids (i-2 before i-10). Read at the first call,
        later only what has changed."""

    async def contacts(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Contact]:
        """What is known of each; an instance never met has an empty Contact."""

    async def record_contact(self, instance_id: InstanceId, contact: Contact) -> None:
        """Facts, boot id, time and error of the last contact; the counters of runs are not touched."""

    async def record_zone(self, instance_id: InstanceId, zone: str) -> None:
        """The time zone that its host has just said; empty: it says none, so none is known."""

    async def record_host_key(self, instance_id: InstanceId, host_key: str) -> bool:
        """Keep the key seen at the first contact. False, and nothing done, if one stands there already."""


# -- invocations


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    spec: InvocationSpec
    members: Sequence[InstanceId]
    """In the order in which they are published."""
    day: str
    """The day that the invocation counts against, `yyyy-mm-dd` in the region's zone of record."""
    daily_quota: int
    token: str = ""
    """ClientToken within its scope; empty: none."""
    due_ms: int | None = None
    """Of what is periodic: when its first round begins …"""
    tick_ms: int = 0
    """… and the time that it then begins for: without the jitter."""
    request_hash: str = ""
    """Of the business parameters: the same token with another hash is refused."""
    token_ttl_s: int = 86_400
    kept_command: bool = True
    """The command is a kept one: count its use, and keep it from being removed until the close."""
    keep_with_quota: int = 0
    """Not 0: keep the spec's command in the same step, unless so many are kept already (COMMAND_QUOTA)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    invoke_id: InvokeId
    command_id: CommandId
    repeated: bool
    """An earlier call with the same token opened it; nothing was done now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What asking one chunk of runs to stop has done."""

    cancelled: Sequence[RunKey]
    """Had not been claimed; they are Cancelled."""
    published: Sequence[RunKey]
    """Those of the cancelled whose messages may still wait in the queue."""
    told: Sequence[RunKey]
    """A worker holds them; it has been told."""
    adrift: Sequence[RunKey]
    """Launched, but nobody follows them: they are due at once."""
    closed: bool


class Invocations(Protocol):
    async def open(self, opening: Opening, *, now_ms: int) -> Opened:
        """Header, tally (all Pending; Scheduled if it repeats), member list, indexes, quota and token in one
        step. What repeats is in rounds: see ports/schedules.py.

        `Refused`: INVOCATION_QUOTA, COMMAND_QUOTA, CLIENT_TOKEN_REUSED, STORE_FULL (90 % of its memory),
        COMMAND_NOT_FOUND (a kept one that is gone), MISSING_INSTANCES."""

    async def done_by(self, token: str, request_hash: str, *, now_ms: int) -> Opened | None:
        """What the call that used the token has opened, or changed; None: no call has.
        `Refused(CLIENT_TOKEN_REUSED)` if that was another request."""

    async def get(self, invoke_id: InvokeId, *, round: int = 0) -> Invocation | None: ...

    async def members(
        self, invoke_id: InvokeId, *, round: int = 0, start: int = 0, limit: int = 1_000
    ) -> Sequence[InstanceId]:
        """Members in order, from the start-th on."""

    async def candidates(
        self,
        invocation: Invocation,
        statuses: frozenset[RunStatus],
        *,
        start: int,
        skip: int,
        limit: int,
    ) -> Candidates:
        """At most `limit` members, from the start-th on, among which are all whose run is in one of these
        states. Where just those can be told apart, the first `skip` of them are passed over."""

    async def not_members(self, invoke_id: InvokeId, ids: Sequence[InstanceId]) -> Sequence[InstanceId]:
        """Those of `ids` that do not belong to the invocation."""

    async def page(
        self,
        wanted: InvocationFilter,
        *,
        limit: int,
        cursor: str = "",
        skip: int = 0,
        count: bool = False,
    ) -> Page[Invocation]:
        """Those that fit, the one opened last first, from indexes: the work does not grow with how many there
        are. A page may come short and still have a cursor, when it had to look at too many open runs of an
        instance; beyond that many, a total counts those that may fit. `Refused(BAD_NEXT_TOKEN)`."""

    async def run_place(self, wanted: InvocationFilter, *, skip: int) -> RunPlace:
        """Of all runs in a wanted state of the invocations that fit, in the order of the listing: how many
        there are, and where the one behind the first `skip` is. Not for a filter by instance: there each
        invocation stands for one run."""

    async def reserve(
        self, invoke_id: InvokeId, *, round: int = 0, batch: int, window: int, low: int, now_ms: int
    ) -> Sequence[RunKey]:
        """Take the next batch to publish: at most `batch`, nothing unless fewer than `low` are published and
        unclaimed, never above `window`, never more in hand than the invocation's cap, nothing once a
        stop was asked for or too many have failed. Counted as published from now."""

    async def unclaimed(
        self, invoke_id: InvokeId, *, round: int = 0, older_than_ms: int, limit: int, now_ms: int
    ) -> Sequence[RunKey]:
        """Published before `older_than_ms` and still not claimed; their clock starts anew, so that two
        reconcilers do not both publish them."""

    async def open_rounds(self, *, limit: int, after: int = 0) -> Sequence[RoundKey]:
        """Open invocations that run once, open rounds, and schedules that are ending; oldest first, without
        the `after` oldest."""

    async def mark_stop(self, invoke_id: InvokeId, *, now_ms: int) -> bool:
        """From now on no claim of it succeeds, no batch is reserved. False if it was marked or is closed.
        Not for schedules: those end."""

    async def stop_runs(
        self, invoke_id: InvokeId, ids: Sequence[InstanceId], *, round: int, now_ms: int, deadline_ms: int
    ) -> Stopped:
        """Ask at most 1,000 runs to stop: never claimed → Cancelled; claimed → Stopping. Final ones stay.
        A launched run's deadline becomes at least `deadline_ms`, at the first stop: repeating it gives nobody
        more time."""

    async def abort_unclaimed(
        self,
        invoke_id: InvokeId,
        ids: Sequence[InstanceId],
        *,
        round: int = 0,
        outcome: Outcome,
        now_ms: int,
    ) -> bool:
        """At most 1,000 runs that nobody has claimed end with `outcome`. True if that was the close."""

    async def forget_older_than(
        self, before_ms: int, *, limit: int, kind: InvocationKind = InvocationKind.COMMAND
    ) -> int:
        """Drop closed invocations of a kind, with their runs, opened before then. How many were dropped."""


# -- runs


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
        `force`: also from a worker that seems alive (a run past its deadline)."""

    async def commit_launching(self, held: Held, *, boot_id: str, deadline_ms: int, now_ms: int) -> Moved:
        """Phase Launching, before anything is sent. Not done if a stop was asked for. `deadline_ms`: when the
        run must have ended, its grace included."""

    async def started(self, held: Held, *, start_ms: int, now_ms: int) -> Moved:
        """Pending → Running."""

    async def record_output(self, held: Held, output: BoundedOutput, *, now_ms: int) -> Moved:
        """What has come so far; tells watchers. The status stays."""

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
        """Open runs past their deadline; each is given to one caller per lease."""

    async def fence_later(self, key: RunKey, *, at_ms: int) -> None:
        """It was given up while its host was silent: its process must be stopped once the host answers."""

    async def take_fences(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[RunKey]: ...

    async def fenced(self, key: RunKey, *, late_result: str) -> None:
        """The host has answered; what it said is kept beside the final state."""


# -- workers


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    id: WorkerId
    host: str
    pid: int
    kind: str
    """worker or beat."""
    started_ms: int
    seen_ms: int = 0
    claims: int = 0


class Workers(Protocol):
    async def register(self, info: WorkerInfo, *, now_ms: int) -> None: ...

    async def beat(self, worker: WorkerId, *, now_ms: int) -> Sequence[RunKey] | None:
        """Alive. Returns runs of ours that are to be stopped (also after their wake-up was lost);
        None: we have been buried, nothing we hold is ours any more."""

    async def dead(self, *, before_ms: int) -> Sequence[WorkerId]:
        """Workers whose last beat is older."""

    async def bury(self, worker: WorkerId, *, before_ms: int, now_ms: int, limit: int = 1_000) -> int:
        """Take the claims of a dead worker, at most `limit`: the runs are due now, its epochs are over.
        How many were taken; 0 and the worker is forgotten when none are left, or it has come back."""

    async def leave(self, worker: WorkerId) -> None:
        """An orderly end: it holds nothing any more."""

    async def all(self) -> Sequence[WorkerInfo]: ...


class Store(Protocol):
    commands: Commands
    instances: Instances
    invocations: Invocations
    runs: Runs
    workers: Workers
    power: PowerRecords
    schedules: Schedules
    tags: Tags
    access_keys: AccessKeys
    audit: Audit
    nonces: Nonces
    events: Events
    outbox: Outbox

    async def invocations_on(self, day: str) -> int:
        """How many count against that day's quota so far."""

    async def turn(self, what: str, *, for_ms: int) -> bool:
        """True for one caller, of all processes, per period: whose turn it is to do `what`."""

    async def facts(self) -> Mapping[str, str]:
        """What the server says of itself: `redis_version`, `server_name`, `aof_enabled`, …; `appendfsync`, if
        it says how it is configured."""

    async def ping(self) -> None:
        """`Broken` if the store does not answer."""

    async def close(self) -> None: ...
