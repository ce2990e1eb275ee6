"""What has happened, for our own clients."""

from cloudassist_tasks.contract.events import DescribeEvents, DescribeEventsResult, Event
from cloudassist_tasks.contract.times import exact_time_text
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.status import FINAL
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.ports import events as ports

MOST_EVENTS = 10_000
LONGEST_WAIT_S = 8
"""An answer comes within ten seconds."""


@implements(DescribeEvents)
async def describe_events(plane: Plane, request: DescribeEvents) -> DescribeEventsResult:
    if not 1 <= request.limit <= MOST_EVENTS:
        raise Refused(Kind.BAD_VALUE, f"Limit must be 1 to {MOST_EVENTS:,}")
    if request.after is None:
        return DescribeEventsResult(cursor=await plane.store.events.last())
    happened = await plane.store.events.wait(
        request.after,
        within_s=min(max(request.within, 0), LONGEST_WAIT_S),
        limit=request.limit,
        invoke_id=InvokeId(request.invoke_id) if request.invoke_id else None,
    )
    return DescribeEventsResult(
        events=tuple(event_item(event) for event in happened.events), cursor=happened.cursor
    )


def event_item(event: ports.Event) -> Event:
    """As our clients see it."""
    return Event(
        cursor=event.cursor,
        kind=str(event.kind),
        invoke_id=event.invoke_id,
        instance_id=event.instance_id or "",
        round=event.round,
        status=str(event.status or ""),
        ended=event.kind is ports.EventKind.CLOSED or event.status in FINAL,
        time=exact_time_text(event.at_ms),
    )
