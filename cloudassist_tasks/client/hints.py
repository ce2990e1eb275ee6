"""When to look at an invocation again: soon after something moved, and now and then in any case."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from cloudassist_tasks.client.sender import Sender
from cloudassist_tasks.domain.errors import CloudAssistError

FIRST_PAUSE_S = 0.1
"""Until the second look; doubled each time. The first moves may come before the hints do."""

LONGEST_PAUSE_S = 2.0
"""A lost hint is made good by then."""

BREATH_S = 0.05
"""Between two looks, however many hints come."""


class Hints:
    """Collects what moves in the background. A way that breaks leaves the pauses alone to count."""

    def __init__(self, sender: Sender, invoke_id: str) -> None:
        self._sender = sender
        self._invoke_id = invoke_id
        self._moved = asyncio.Event()
        self._ended: dict[str, None] = {}
        self._pause_s = FIRST_PAUSE_S
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._listening is not None and not self._listening.done():
            self._listening.cancel()  # once more: redis-py 8.1 loses one that comes while it connects
            await asyncio.wait([self._listening], timeout=BREATH_S)

    async def next_look(self) -> None:
        """Wait until it is worth looking again."""
        await asyncio.sleep(BREATH_S)
        try:
            async with asyncio.timeout(self._pause_s):
                await self._moved.wait()
        except TimeoutError:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._moved.clear()

    def take_ended(self) -> list[str]:
        """Instances whose run is said to have ended since this was asked last."""
        ended, self._ended = self._ended, {}
        return list(ended)

    async def _listen(self) -> None:
        with suppress(CloudAssistError):
            async for move in self._sender.moves(self._invoke_id):
                if move.ended:
                    self._ended[move.instance_id] = None
                self._moved.set()
