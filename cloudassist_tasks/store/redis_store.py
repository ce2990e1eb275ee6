"""The store: Redis or Valkey, version 7 or newer, moved by Lua alone.

Made by the composition root, once per event loop. Implements `ports.store.Store`; what each entity
keeps is in the module of its name.
"""

from cloudassist_tasks.ports.store import Commands, Instances, Invocations, Runs, Workers
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.commands import RedisCommands
from cloudassist_tasks.store.instances import RedisInstances
from cloudassist_tasks.store.invocations import RedisInvocations
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.runs import RedisRuns
from cloudassist_tasks.store.workers import RedisWorkers


class RedisStore:
    """`ports.store.Store`. Connects at the first call."""

    def __init__(self, link: Link) -> None:
        self.link = link
        runs = RedisRuns(link)
        self.commands: Commands = RedisCommands(link)
        self.instances: Instances = RedisInstances(link)
        self.invocations: Invocations = RedisInvocations(link)
        self.runs: Runs = runs
        self.workers: Workers = RedisWorkers(link, runs)

    @classmethod
    def at(cls, url: str) -> "RedisStore":
        """`redis://`, `rediss://` or `unix://`; `Refused(BAD_SETTING)` for anything else."""
        return cls(Link(url))

    async def invocations_on(self, day: str) -> int:
        return int(await self.link.call("GET", keys.day(day)) or 0)

    async def turn(self, what: str, *, for_ms: int) -> bool:
        """The period is measured by the server."""
        return bool(await self.link.script("take_turn", [keys.turn(what)], [for_ms]))

    async def ping(self) -> None:
        await self.link.call("PING")

    async def close(self) -> None:
        await self.link.close()
