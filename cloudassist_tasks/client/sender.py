"""What a client needs of a way to the control plane: inside this process, or over HTTP."""

from collections.abc import AsyncIterator
from typing import Protocol

from cloudassist_tasks.contract.events import Event
from cloudassist_tasks.contract.extensions import RunMoved
from cloudassist_tasks.contract.operation import Operation, R


class Sender(Protocol):
    async def send(self, operation: Operation[R]) -> R:
        """The result. Raises `Refused` (nothing was done) or `Broken` (the same call may succeed later)."""

    def moves(self, invoke_id: str) -> AsyncIterator[RunMoved]:
        """What happens to an invocation's runs from now on: hints, some may be lost. Ends when it is closed
        from this side, or when the way breaks."""

    def events(self, after: str | None, *, invoke_id: str | None = None) -> AsyncIterator[Event]:
        """What has happened behind a cursor, and then what happens, without a gap; None: from now on. Never
        ends by itself. `Refused` if some of it is no longer kept; `Broken` when the way breaks: go on from
        the cursor of the last event."""

    async def close(self) -> None:
        """End what the sender itself has opened. Idempotent."""
