"""Operations sent within the process: the way of the Python client and the command line at home."""

import asyncio
from collections.abc import AsyncIterator, Callable

from cloudassist_tasks.contract.events import Event
from cloudassist_tasks.contract.extensions import RunMoved
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.status import FINAL
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.events import event_item
from cloudassist_tasks.operations.handling import handle

EVENTS_WAIT_S = 15.0
"""How long one question for events waits; then it is asked again."""


class InProcessSender:
    """Carries operations out on a plane. Belongs to the event loop on which the plane was made."""

    def __init__(self, plane: Plane, *, release: Callable[[], None] | None = None) -> None:
        """`release`: lets go of the servers; given by whoever opened plane and servers for this sender, which
        then closes both."""
        self.plane = plane
        self._release = release

    async def send(self, operation: Operation[R]) -> R:
        return await handle(self.plane, operation, LOCAL)

    async def moves(self, invoke_id: str) -> AsyncIterator[RunMoved]:
        async with self.plane.notify.moves(InvokeId(invoke_id)) as moves:
            async for move in moves:
                yield RunMoved(
                    instance_id=move.key.instance_id,
                    invocation_status=move.status,
                    ended=move.status in FINAL,
                )

    async def events(self, after: str | None, *, invoke_id: str | None = None) -> AsyncIterator[Event]:
        events = self.plane.store.events
        cursor = await events.last() if after is None else after
        wanted = InvokeId(invoke_id) if invoke_id else None
        while True:
            happened = await events.wait(cursor, within_s=EVENTS_WAIT_S, invoke_id=wanted)
            for event in happened.events:
                yield event_item(event)
            cursor = happened.cursor

    async def close(self) -> None:
        release, self._release = self._release, None
        if release is None:
            return
        try:
            await self.plane.close()
        finally:
            await _off_the_loop(release)


async def _off_the_loop(function: Callable[[], None]) -> None:
    """It may wait for a server to end. At the interpreter's exit there are no threads left to do it in."""
    try:
        await asyncio.to_thread(function)
    except RuntimeError:
        function()
