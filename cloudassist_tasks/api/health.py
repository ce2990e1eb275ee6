"""Whether the endpoint is up, and whether calls would work: for load balancers and `cloudassist up`.

Unsigned, so that nothing is told but names of parts; the answer of the moment serves all who ask within it.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping

from cloudassist_tasks import awake
from cloudassist_tasks.api.answers import Answer, json_answer
from cloudassist_tasks.api.calls import Call
from cloudassist_tasks.domain.errors import CloudAssistError, Kind, Refused
from cloudassist_tasks.engine.plane import Plane

__all__ = ["Health"]

PART_WITHIN_S = 3.0
MOMENT_S = 0.5


class Health:
    """The pages `/healthz` and `/readyz`."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._looking = asyncio.Lock()
        self._seen: Mapping[str, str] = {}
        self._seen_s = float("-inf")

    async def alive(self, call: Call) -> Answer:
        """200 as long as the process answers."""
        _check_method(call)
        return json_answer({"Status": "ok"})

    async def ready(self, call: Call) -> Answer:
        """200 if store and broker answer, else 503; which of them does not."""
        _check_method(call)
        async with self._looking:
            if time.monotonic() - self._seen_s > MOMENT_S:
                self._seen = await self._look()
                self._seen_s = time.monotonic()
            parts = self._seen
        ready = all(word == "ok" for word in parts.values())
        return json_answer({"Status": "ok" if ready else "away", **parts}, status=200 if ready else 503)

    async def _look(self) -> Mapping[str, str]:
        store, broker = await asyncio.gather(
            _word(self._plane.store.ping()), _word(self._plane.dispatch.waiting())
        )
        return {"Store": store, "Broker": broker}


async def _word(asked: Awaitable[object]) -> str:
    try:
        async with awake.timeout(PART_WITHIN_S):
            await asked
    except (CloudAssistError, TimeoutError):
        return "away"
    return "ok"


def _check_method(call: Call) -> None:
    if call.request.method not in ("GET", "HEAD"):
        raise Refused(Kind.WRONG_METHOD, f"{call.request.method[:20]} is not taken here; use GET")
