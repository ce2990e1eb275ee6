"""What has happened, for our own clients: see `ports/events.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

from cloudassist_tasks.contract.extensions import Extension
from cloudassist_tasks.contract.operation import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An invocation was opened or closed, or one of its runs has another state."""

    cursor: str
    """Behind this event: give it as `after` to go on from here."""
    kind: str
    """opened, run, closed."""
    invoke_id: str
    instance_id: str = ""
    """Of a run; empty where the event is about the invocation."""
    round: int = 0
    status: str = ""
    """The fine state that the run has now; empty where the event is about the invocation."""
    ended: bool = False
    """It is final."""
    time: str
    """By the store's clock, with milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeEventsResult(Result):
    events: Sequence[Event] = ()
    """Oldest first."""
    cursor: str = ""
    """Where to go on, also where none of the events was wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeEvents(Extension[DescribeEventsResult]):
    """What has happened since a cursor. Says so if some of it is no longer kept (`InvalidCursor.Expired`)."""

    after: str | None = None
    """A cursor; `0`: whatever is kept; None: nothing, only where the events stand now."""
    invoke_id: str | None = None
    """Only those of one invocation."""
    limit: int = 1_000
    within: int = 0
    """Seconds to wait, at most 8, if nothing has happened yet."""
