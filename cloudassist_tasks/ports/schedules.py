"""What runs in rounds: part of the `Store` port.

Each firing of a schedule is a round: a fan-out with a header, a tally and members of its own, which the moves
of runs carry as they carry an invocation that runs once. An instance has at most one open run in a schedule;
one that still has is left out of the round, and that is recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.boot import KnownBoot
from cloudassist_tasks.domain.firing import Plan
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationSpec, Repetition, Timing, Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A schedule whose time has come."""

    invoke_id: InvokeId
    due_ms: int
    """The time at which it stands; whoever opens the round must have found this one."""
    tick_ms: int
    """The same without the jitter."""
    version: int
    """Of its spec, which may have been changed since."""
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is to be done about a schedule that is due."""

    due: Due
    plan: Plan
    next_due_ms: int | None
    """None: it is exhausted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRound:
    number: int
    """0: none was opened, what was missed is recorded."""
    total: int = 0
    skipped: int = 0
    reserved: Sequence[RunKey] = ()
    """To be published now."""
    ended: bool = False
    """No round will follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlooked:
    """Where a schedule stands whose next time is to be taken away, and what it has missed until then."""

    due_ms: int | None
    """None: it has no next time, being paused."""
    missed: int = 0
    """Not 0 if `due_ms` is over."""
    first_ms: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A schedule at one moment."""

    whole: Invocation
    next_ms: int | None
    """When it is due; None: never by the clock."""
    newest: Invocation | None
    """Its newest round. None: it has had none, or it is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedParts:
    closed: bool
    """The schedule is closed: every part is over and no run is open."""
    busy: Mapping[int, Sequence[InstanceId]]
    """By round: those whose run is open; their part ends with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedTicks:
    count: int
    first_ms: int
    last_ms: int
    seen_ms: int
    """When it was noticed."""
    done: str
    """skip; once: one round was run late; paused, changed: nothing was run, since the schedule was."""


class Schedules(Protocol):
    async def due(self, *, now_ms: int, limit: int, start: int = 0) -> Sequence[Due]:
        """Schedules whose time has come, the longest due first, without the `start` first. Looks only;
        forgotten ones are dropped."""

    async def foresee(self, *, until_ms: int) -> None:
        """Read what `due` will need of those that come due until then, so that it takes no time when they do.
        What was looked at before is not read again."""

    async def still_due(self, dues: Sequence[Due]) -> Sequence[Due]:
        """Those of them that nobody has fired meanwhile."""

    async def next_ms(self, *, behind: int = 0) -> int | None:
        """When the next one is due, behind so many that are due before."""

    async def next_of(self, ids: Sequence[InvokeId]) -> Sequence[int | None]:
        """When each is due; None: never by the clock."""

    async def standing(self, ids: Sequence[InvokeId]) -> Sequence[Standing | None]:
        """Each as it stands, in that order; None where there is none."""

    async def fire(
        self, planned: Sequence[Planned], *, batch: int, now_ms: int
    ) -> Sequence[OpenedRound | None]:
        """Of each, open the round and write the next time, in one step. None if somebody else did, or it was
        stopped, paused or changed meanwhile: nothing was done."""

    async def open_round(
        self,
        invoke_id: InvokeId,
        *,
        why: Why,
        batch: int,
        now_ms: int,
        only: InstanceId | None = None,
        boot: tuple[str, str] | None = None,
        last: bool = False,
    ) -> OpenedRound | None:
        """Open a round beside the clock: of all members, or of one alone. `boot`: the host's boot that was
        known (its word) and the one that was seen; the round is opened only if nobody else has noticed it.
        `last`: the member takes part in no further round. None: nothing was done (it has ended, the one
        member has an open run or has left, the boot was noticed by another, or it is paused)."""

    async def end(self, invoke_id: InvokeId, *, now_ms: int) -> bool:
        """Stopped: no round follows. False if it was stopped before, or is closed."""

    async def end_parts(
        self, invoke_id: InvokeId, ids: Sequence[InstanceId], *, leave: bool, now_ms: int
    ) -> EndedParts:
        """Of a schedule that has ended, at most 1,000 members' parts are over; or, with `leave`, theirs
        alone, whatever the others do. Once the part of every member is over, it closes."""

    async def staying(self, invoke_id: InvokeId, ids: Sequence[InstanceId]) -> Sequence[InstanceId]:
        """Those of these members that have not left it."""

    async def pause(self, invoke_id: InvokeId, overlooked: Overlooked, *, now_ms: int) -> bool:
        """No round follows until it goes on; what it had missed is recorded. False, and nothing done: it has
        ended, was paused, stands at another time than was found, or a time of it has come meanwhile."""

    async def resume(
        self, invoke_id: InvokeId, found: Repetition, *, next_ms: int | None, tick_ms: int, now_ms: int
    ) -> bool:
        """It goes on with the next time that was worked out from how it was `found`. Boots of before are none
        that it runs for. False, and nothing done: it has ended, was not paused, or its spec, or what it has
        settled, is another by now."""

    async def modify(
        self,
        spec: InvocationSpec,
        *,
        version: int,
        added: Sequence[InstanceId],
        next_ms: int | None,
        tick_ms: int,
        now_ms: int,
        overlooked: Overlooked,
        changed: bool = True,
        keep_with_quota: int = 0,
        token: str = "",
        request_hash: str = "",
        token_ttl_s: int = 86_400,
    ) -> bool:
        """From the next round on it runs by `spec`, its version-th; and has these members too. `next_ms`, if
        given, is its next time in place of the one that was `overlooked`; what it had missed is recorded.
        Without `changed` the spec stays, and `version` is the one that holds.
        `keep_with_quota`: its command is another one that is to be kept too, by the same step; so many may be
        kept (`Refused(COMMAND_QUOTA)`). `token` is used up by the same step.

        False, and nothing done: it has ended, another version holds, the token was used before, or its next
        time was to change and it stands at another than was found, or has come meanwhile."""

    async def rounds(
        self, invoke_id: InvokeId, *, limit: int, newest: int | None = None
    ) -> Sequence[Invocation]:
        """The rounds that are kept, from that number down; None: from the newest."""

    async def round_count(self, invoke_id: InvokeId) -> int:
        """How many rounds are kept."""

    async def skipped(self, invoke_id: InvokeId, round: int, *, limit: int) -> Sequence[InstanceId]:
        """Members that a round has left out."""

    async def missed(self, invoke_id: InvokeId) -> Sequence[MissedTicks]:
        """The newest 100 times that ticks were missed, newest first."""

    async def open_ids(self, *, limit: int, after: int = 0) -> Sequence[InvokeId]:
        """Schedules that are not closed, oldest first, without the `after` oldest."""

    async def forget_rounds(self, invoke_id: InvokeId, *, keep: int, before_ms: int) -> int:
        """Drop closed rounds beyond the newest `keep`, and those opened before then; the newest run of each
        instance stays. How many were dropped."""

    # -- boots

    async def take_boots(self, *, now_ms: int, again_ms: int, limit: int) -> Sequence[InstanceId]:
        """Instances to look at, since something waits for their next boot; each again at `again_ms`."""

    async def awaiting_boot(self, instance_id: InstanceId) -> Sequence[InvokeId]: ...

    async def known_boot(self, invoke_id: InvokeId, instance_id: InstanceId) -> KnownBoot | None:
        """The boot that nothing is to be run for any more. None: the instance takes part in no further
        round."""

    async def note_boot(
        self, invoke_id: InvokeId, instance_id: InstanceId, *, before: str, boot: str
    ) -> bool:
        """Nothing is to be run for this boot. False if it is not `before` (its word) that is known."""

    async def no_boot(self, invoke_id: InvokeId, instance_id: InstanceId) -> None:
        """It waits for no boot of the instance any more."""
