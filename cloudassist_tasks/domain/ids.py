"""Names of things, and the one rule that joins three of them into a run's.

A run's id is the same everywhere: the Celery task's id, the store's key, the directory on the host.
"""

import re
from dataclasses import dataclass
from typing import NewType, Self

CommandId = NewType("CommandId", str)
InvokeId = NewType("InvokeId", str)
InstanceId = NewType("InstanceId", str)
WorkerId = NewType("WorkerId", str)

INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What an instance may be called (full match)."""


@dataclass(frozen=True, slots=True, order=True)
class RoundKey:
    """One fan-out: an invocation that runs once (round 0), or the n-th round of a schedule."""

    invoke_id: InvokeId
    round: int = 0

    def __str__(self) -> str:
        """`<invoke_id>`, with `.<round>` behind it if that is not 0."""
        return f"{self.invoke_id}.{self.round}" if self.round else self.invoke_id

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`."""
        invoke_id, _, round_ = text.partition(".")
        return cls(InvokeId(invoke_id), int(round_ or 0))


@dataclass(frozen=True, slots=True, order=True)
class RunKey:
    """One invocation's part on one instance; `round` is 0 but for schedules."""

    invoke_id: InvokeId
    instance_id: InstanceId
    round: int = 0

    @property
    def of(self) -> RoundKey:
        """The fan-out that it is a part of."""
        return RoundKey(self.invoke_id, self.round)

    @property
    def run_id(self) -> str:
        """`<invoke_id>.<instance_id>.<round>`: unique for ever, safe as a file name and a Celery task id."""
        return f"{self.invoke_id}.{self.instance_id}.{self.round}"

    @classmethod
    def parse(cls, run_id: str) -> Self:
        """The inverse of `run_id`. An invoke id holds no dot; an instance id may."""
        invoke_id, _, rest = run_id.partition(".")
        instance_id, _, round_ = rest.rpartition(".")
        if not (invoke_id and instance_id and round_.isdecimal()):
            raise ValueError(f"{run_id!r} is not a run id: expected <invoke_id>.<instance_id>.<round>")
        return cls(InvokeId(invoke_id), InstanceId(instance_id), int(round_))
