"""The audit: who called what, when, from where, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.contract.extensions import Extension
from cloudassist_tasks.contract.operation import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditItem:
    time: str
    caller: str
    """An access key's id, `local` or `broker`; of a stranger, whom it claimed to be."""
    role: str = ""
    source: str = ""
    """An address, or the way in."""
    action: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    """Secrets as `***`, long values shortened."""
    outcome: str
    """Success, or the code of the error."""
    status: int
    call_request_id: str
    """RequestId of the call."""
    invoke_id: str = ""
    """The invocation that it has opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAuditRecordsResult(Result):
    audit_records: Sequence[AuditItem] = ()
    """Newest first."""
    next_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAuditRecords(Extension[DescribeAuditRecordsResult]):
    """Calls, newest first. All filters must hold. A page may be short and yet have a NextToken."""

    caller: str | None = None
    action_name: str | None = None
    """`*` is a wildcard."""
    outcome: str | None = None
    """`*` is a wildcard."""
    start_time: str | None = None
    """`yyyy-MM-ddTHH:mm:ssZ`; older ones are left out."""
    max_results: int | None = None
    """1 to 1,000; default 100."""
    next_token: str | None = None
