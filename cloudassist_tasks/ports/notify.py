"""Wake-ups. Each is a hint: what it tells stands in the store too, and is found there soon if it is lost."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.ids import InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.status import RunStatus


@dataclass(frozen=True, slots=True)
class Move:
    """A run moved, or (with `status` as it was) has new output."""

    key: RunKey
    status: RunStatus


class Notify(Protocol):
    def stops(self, worker: WorkerId) -> AbstractAsyncContextManager[AsyncIterator[RunKey]]:
        """Runs of this worker that are to be stopped, as they are asked for."""

    def moves(self, invoke_id: InvokeId) -> AbstractAsyncContextManager[AsyncIterator[Move]]:
        """What happens to the runs of an invocation from now on."""
