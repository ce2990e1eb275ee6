"""Invocations: opening, the window of what is published, listing, stopping, forgetting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, InvocationSpec
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.listing import Candidates, InvocationFilter, Page, RunPlace


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
