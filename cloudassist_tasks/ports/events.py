"""What has happened, in order, for whoever follows it from a cursor: each change of a run's state, and the
opening and close of invocations.

An event is written in the step that makes the change, so none is missing and none is told of what did not
happen. They are kept for a time and up to a number (settings `events_s`, `events_max`). What is missed
beyond that is said, never passed over: `Refused(EVENTS_EXPIRED)`.

A cursor is opaque text: the place behind one event. `OLDEST` is the place before the oldest event kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.status import RunStatus

OLDEST = "0"
"""Whatever is still kept, from its beginning; never expires."""


class EventKind(StrEnum):
    OPENED = "opened"
    """An invocation was opened."""
    RUN = "run"
    """One run has another state."""
    CLOSED = "closed"
    """The last run of an invocation has ended; of a schedule, no round will follow."""
    ROUND_OPENED = "round_opened"
    ROUND_CLOSED = "round_closed"
    """The last run of a schedule's round has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    cursor: str
    """Behind this event: going on from here gives what came after it."""
    at_ms: int
    """By the store's clock."""
    kind: EventKind
    invoke_id: InvokeId
    instance_id: InstanceId | None = None
    """Of a run; None where the event is about the invocation."""
    round: int = 0
    """Of a schedule; else 0."""
    status: RunStatus | None = None
    """The state that the run has now; None where the event is about the invocation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Some events, oldest first, and where to go on; also where none of them was wanted."""

    events: Sequence[Event]
    cursor: str


class Events(Protocol):
    async def last(self) -> str:
        """The cursor behind the newest event: from here on comes what has not happened yet."""

    async def after(self, cursor: str, *, limit: int = 1_000, invoke_id: InvokeId | None = None) -> Happened:
        """What came after the cursor; at most `limit` events are looked at. With `invoke_id`, only its own;
        the cursor moves on behind the others. Nothing came if the cursor is the one that was given.

        `Refused`: EVENTS_EXPIRED if some after the cursor are no longer kept, BAD_CURSOR."""

    async def wait(
        self, cursor: str, *, within_s: float, limit: int = 1_000, invoke_id: InvokeId | None = None
    ) -> Happened:
        """As `after`, but waits for the first event if there is none, on a connection of its own. Empty if
        none came in time."""

    async def trim(self, *, before_ms: int, at_most: int) -> int:
        """Drop events older than `before_ms`, and the oldest above `at_most`; how many were dropped."""
