"""What a listing is asked for: filters as values, so that the store can answer them from its indexes.

Part of the `Store` port. All that is given in a filter must hold; what is left out holds always.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import InvocationKind
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.domain.tags import TagFilter

T = TypeVar("T")

NO_TAGS: TagFilter = MappingProxyType[str, str | None]({})

ANY_STATUS = frozenset(RunStatus)

StatesTest = Callable[[frozenset[RunStatus]], bool]
"""Whether an invocation is wanted whose runs are in exactly these states; `domain/rollup.py` knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Newest first. `cursor` continues behind the last item and stays right while others are added or
    removed; empty when there is no more."""

    items: Sequence[T]
    cursor: str
    total: int
    """How many match in all; counted only where it was asked for, else 0."""
    cursors: Sequence[str] = ()
    """For each item, the cursor that continues behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationFilter:
    kind: InvocationKind = InvocationKind.COMMAND
    invoke_id: InvokeId | None = None
    """This one alone, if it fits."""
    command_id: CommandId | None = None
    command_type: str = ""
    name: str = ""
    """Of the command, or of the file; `*` is a wildcard."""
    instance_id: InstanceId | None = None
    """Invocations that it is a member of."""
    run_statuses: frozenset[RunStatus] = ANY_STATUS
    """At least one run is in one of these; the instance's run, if an instance is given."""
    states: StatesTest | None = None
    repeat_mode: str = ""
    timed: bool | None = None
    """Whether it will run again by itself."""
    resource_group: str = ""
    tags: TagFilter = field(default_factory=lambda: NO_TAGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Members of one invocation, in order, each with its place."""

    items: Sequence[tuple[int, InstanceId]]
    next: int
    """Where to go on; how many members there are, when there is no more."""
    passed: int = 0
    """How many that fit come before them and were passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFilter:
    """Of kept commands. `*` is a wildcard in the name and in the description."""

    command_id: CommandId | None = None
    """This one alone, if it fits."""
    type: str = ""
    name: str = ""
    description: str = ""
    resource_group: str = ""
    tags: TagFilter = field(default_factory=lambda: NO_TAGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """Where the n-th of the runs that fit lies, in the order of a listing."""

    total: int
    """How many runs fit in all."""
    cursor: str = ""
    """Continues with the invocation that has the run; empty too when that is the first one."""
    offset: int = 0
    """How many of its fitting runs come before."""
