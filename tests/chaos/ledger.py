"""What was asked for, and what was answered: the callers' own list, which the store is held against.

Acknowledged is what a call has returned an InvokeId for. A call that failed in doubt stands here without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Asked", "Kind", "Ledger", "Stop"]


class Kind(StrEnum):
    RUN = "RunCommand"
    INVOKE = "InvokeCommand"
    FILE = "SendFile"
    RETRY = "RetryInvocation"
    MESSAGE = "cloudassist.invoke"
    SCHEDULE = "schedule"
    BOOT = "boot task"


@dataclass(slots=True, kw_only=True)
class Stop:
    """Somebody wanted an end of it."""

    members: Sequence[str] = ()
    """Empty: all."""
    acknowledged_ms: int = 0
    """When it was answered; 0: not yet."""
    too_late: bool = False
    """It was refused: all had ended."""

    def meets(self, instance_id: str) -> bool:
        """Whether this instance is one of those."""
        return not self.members or instance_id in self.members


@dataclass(slots=True, kw_only=True)
class Asked:
    """One call that opens something."""

    token: str
    """ClientToken; also the name that callbacks have it by."""
    kind: Kind
    door: str
    """Which way the call went."""
    recipe: str
    """Of what is run; of a file, its path."""
    members: Sequence[str]
    timeout_s: int
    at_once: int = 0
    """MaxConcurrency; 0: none."""
    max_errors: int | None = None
    webhook: bool = False
    callback: bool = False
    invoke_id: str = ""
    """Empty: not acknowledged."""
    tries: int = 0
    others: list[str] = field(default_factory=list)
    """Other ids that the same token was answered with: there must be none."""
    refused: str = ""
    first: str = ""
    """Of a retry: the invocation that it repeats."""
    asked_ms: int = 0
    answered_ms: int = 0
    """Of a retry: from when to when the call went on."""
    rightly: bool = False
    """Of a retry that was refused: nothing had failed yet."""
    in_doubt: bool = False
    """Of a retry: it failed, and may have opened something. It has no token to ask with again."""
    stops: list[Stop] = field(default_factory=list)

    def stop_of(self, instance_id: str) -> bool:
        """Whether somebody wanted this instance's run to end."""
        return any(stop.meets(instance_id) for stop in self.stops)

    def stopped_ms(self, instance_id: str = "") -> int:
        """Since when a stop of this instance's run (or of the whole) was acknowledged; 0: never."""
        answered = [
            stop.acknowledged_ms
            for stop in self.stops
            if stop.acknowledged_ms and (stop.meets(instance_id) if instance_id else not stop.members)
        ]
        return min(answered, default=0)


class Ledger:
    """All of them, in the order of asking."""

    def __init__(self) -> None:
        self.entries: list[Asked] = []
        self.told: dict[str, str] = {}
        """Token of a message → the invocation that its callback spoke of, or why it was refused."""

    def add(self, asked: Asked) -> Asked:
        self.entries.append(asked)
        return asked

    @property
    def acknowledged(self) -> Sequence[Asked]:
        return [asked for asked in self.entries if asked.invoke_id]

    @property
    def runs(self) -> int:
        """How many runs were asked for, without those of schedules."""
        return sum(len(asked.members) for asked in self.entries)

    def by_invoke_id(self) -> dict[str, Asked]:
        return {asked.invoke_id: asked for asked in self.acknowledged}
