"""Whether the server has room for new work.

Moves of runs that are open already are always taken (their scripts allow it); new invocations are
refused early enough that those moves find room.
"""

import asyncio

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.ports.store import MAKE_ROOM
from cloudassist_tasks.store.link import Link

FULL_AT = 0.9
"""The share of maxmemory from which on nothing new is opened."""

LOOK_EVERY_S = 1.0


class MemoryWatch:
    """Asks the server at most once a second."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._looked_s = float("-inf")
        self._full = False

    async def is_full(self) -> bool:
        """A server without maxmemory never is."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._full = _is_full(await self._link.call("INFO", "memory"))
        return self._full

    async def refuse_when_full(self) -> None:
        """`Refused(STORE_FULL)`."""
        if await self.is_full():
            raise self.full()

    def full(self) -> Refused:
        """What the caller is told."""
        return Refused(
            Kind.STORE_FULL,
            f"the store at {self._link.address} has used {FULL_AT:.0%} of its memory; {MAKE_ROOM}",
        )


def _is_full(info: bytes) -> bool:
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    limit = int(facts.get("maxmemory", 0))
    return limit > 0 and int(facts.get("used_memory", 0)) >= FULL_AT * limit
