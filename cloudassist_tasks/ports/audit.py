"""The record of calls, as operations see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.audit import AuditRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What need not be kept any longer. Older records go soon, not at once."""

    since_ms: int
    most: int
    """Records of each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    records: Sequence[AuditRecord]
    cursor: str
    """Where to go on; empty when there is no more."""


class Audit(Protocol):
    """Records are only ever added. One may be written twice when the connection breaks: same RequestId."""

    async def write(self, record: AuditRecord, keep: Keep) -> None:
        """It is in the store when this returns. `Broken`."""

    def write_soon(self, record: AuditRecord, keep: Keep) -> None:
        """It is in the store shortly; where that is away, when it is back, and meanwhile in the log. Lost if
        this process is killed before, or ends while the store is away."""

    async def page(
        self, *, where: Callable[[AuditRecord], bool], limit: int, cursor: str = "", since_ms: int = 0
    ) -> AuditPage:
        """Newest first. A page may be short, even empty, and yet have a cursor: one call looks at so many
        records at most. `Refused(BAD_NEXT_TOKEN)`."""

    async def newest(self) -> str:
        """The position behind all records there are, for `after`."""

    async def after(self, position: str, *, limit: int) -> AuditPage:
        """What was added behind a position, oldest first, and the position behind that."""
