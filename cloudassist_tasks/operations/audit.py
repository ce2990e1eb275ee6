"""The audit, listed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cloudassist_tasks.contract.audit import AuditItem, DescribeAuditRecords, DescribeAuditRecordsResult
from cloudassist_tasks.domain.audit import AuditRecord
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.pagination import PageRules, TokenPage, checked_page, token_for
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import time_text

_PAGES = PageRules(largest=1_000, default=100)


@implements(DescribeAuditRecords)
async def describe_audit_records(plane: Plane, request: DescribeAuditRecords) -> DescribeAuditRecordsResult:
    wanted = checked_page(max_results=request.max_results, next_token=request.next_token, rules=_PAGES)
    page = await plane.store.audit.page(
        where=fitting(request),
        limit=wanted.size,
        cursor=wanted.position if isinstance(wanted, TokenPage) else "",
        since_ms=_since_ms(request.start_time),
    )
    return DescribeAuditRecordsResult(
        audit_records=tuple(audit_item(record) for record in page.records),
        next_token=token_for(page.cursor),
    )


async def newer(
    plane: Plane, request: DescribeAuditRecords, position: str
) -> tuple[Sequence[AuditItem], str]:
    """What has come on record behind a position of the store's, oldest first, as far as it is wanted, and the
    position behind that. For whoever holds the store itself: this is no call, and not on record."""
    fits = fitting(request)
    while True:
        page = await plane.store.audit.after(position, limit=_PAGES.default)
        found = [audit_item(record) for record in page.records if fits(record)]
        if found or page.cursor == position:
            return found, page.cursor
        position = page.cursor


def fitting(request: DescribeAuditRecords) -> Callable[[AuditRecord], bool]:
    """Whether a record is wanted, but for its time."""

    def fits(record: AuditRecord) -> bool:
        return (
            request.caller in (None, "", record.caller)
            and (not request.action_name or matches(request.action_name, record.action))
            and (not request.outcome or matches(request.outcome, record.outcome))
        )

    return fits


def audit_item(record: AuditRecord) -> AuditItem:
    """A record as it is answered."""
    return AuditItem(
        time=time_text(record.at_ms),
        caller=record.caller,
        role=record.role,
        source=record.source,
        action=record.action,
        arguments=record.arguments,
        outcome=record.outcome,
        status=record.status,
        call_request_id=record.request_id,
        invoke_id=record.invoke_id,
    )


def _since_ms(text: str | None) -> int:
    if not text:
        return 0
    try:
        parsed = datetime.fromisoformat(text)
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise Refused(
            Kind.BAD_VALUE, f"StartTime {text[:40]!r} is no time; write it as 2026-01-31T12:00:00Z"
        ) from None
