"""Processes that hold claims, while they beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.ids import RunKey, WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    id: WorkerId
    host: str
    pid: int
    kind: str
    """worker or beat."""
    started_ms: int
    seen_ms: int = 0
    claims: int = 0


class Workers(Protocol):
    async def register(self, info: WorkerInfo, *, now_ms: int) -> None: ...

    async def beat(self, worker: WorkerId, *, now_ms: int) -> Sequence[RunKey] | None:
        """Alive. Returns runs of ours that are to be stopped (also after their wake-up was lost);
        None: we have been buried, nothing we hold is ours any more."""

    async def dead(self, *, before_ms: int) -> Sequence[WorkerId]:
        """Workers whose last beat is older."""

    async def bury(self, worker: WorkerId, *, before_ms: int, now_ms: int, limit: int = 1_000) -> int:
        """Take the claims of a dead worker, at most `limit`: the runs are due now, its epochs are over.
        How many were taken; 0 and the worker is forgotten when none are left, or it has come back."""

    async def leave(self, worker: WorkerId) -> None:
        """An orderly end: it holds nothing any more."""

    async def all(self) -> Sequence[WorkerInfo]: ...
