"""What switching machines needs: a place where it is recorded, and somebody who runs the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import InstanceStatus
from cloudassist_tasks.domain.power import Passage, PowerKey, PowerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerBegun:
    done: bool
    """False: the instance is in another state than the action needs, or is unknown."""
    status: str
    """The state before; empty for an unknown instance."""


class PowerRecords(Protocol):
    """The instance's state and its last action, moved together. Each method is one step."""

    async def begin(
        self, instance_id: InstanceId, record: PowerRecord, passage: Passage, *, due_ms: int
    ) -> PowerBegun:
        """Into the state during the action. It is overdue at `due_ms` unless somebody takes it."""

    async def take(self, key: PowerKey, *, due_ms: int) -> PowerRecord | None:
        """For the one who carries it out, once: a second delivery gets None."""

    async def end(
        self, key: PowerKey, status: InstanceStatus, *, error: str, now_ms: int, unless_at_it: bool = False
    ) -> bool:
        """The state after it. False if it had ended already, or another action has begun since; with
        `unless_at_it` also while somebody who has taken it may still end it: until it is overdue."""

    async def see_running(self, instance_id: InstanceId, *, ended_before_ms: int) -> bool:
        """Stopped → Running without a command, if the stop ended before then."""

    async def overdue(self, *, now_ms: int, limit: int) -> Sequence[PowerKey]:
        """Actions that should have ended by now."""

    async def last(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, PowerRecord]:
        """The last action of each that was ever switched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnd:
    exit_code: int | None
    """None: it was still running at its time and was killed."""
    said: str = ""
    """Its last line, for people."""


class PowerSwitch(Protocol):
    async def run(self, command: str, environment: Mapping[str, str], *, within_s: float) -> CommandEnd:
        """Run a command line in a shell on this machine, with these variables too; killed with all its
        children when the time is over."""
