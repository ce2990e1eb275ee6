"""The store: Redis or Valkey, version 7 or newer, moved by Lua alone.

Made by the composition root, once per event loop. Implements `ports.store.Store`; what each entity
keeps is in the module of its name.
"""

from collections.abc import Callable, Mapping
from typing import Self

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.ports.access_keys import AccessKeys
from cloudassist_tasks.ports.audit import Audit
from cloudassist_tasks.ports.commands import Commands
from cloudassist_tasks.ports.events import Events
from cloudassist_tasks.ports.instances import Instances
from cloudassist_tasks.ports.invocations import Invocations
from cloudassist_tasks.ports.nonces import Nonces
from cloudassist_tasks.ports.outbox import Outbox
from cloudassist_tasks.ports.power import PowerRecords
from cloudassist_tasks.ports.runs import Runs
from cloudassist_tasks.ports.schedules import Schedules
from cloudassist_tasks.ports.tagging import Tags
from cloudassist_tasks.ports.workers import Workers
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.access_keys import RedisAccessKeys
from cloudassist_tasks.store.audit import RedisAudit
from cloudassist_tasks.store.clock import StoreClock
from cloudassist_tasks.store.commands import RedisCommands
from cloudassist_tasks.store.events import RedisEvents
from cloudassist_tasks.store.instances import RedisInstances
from cloudassist_tasks.store.invocations import RedisInvocations
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.loading import InvocationLoading
from cloudassist_tasks.store.memory import MemoryWatch
from cloudassist_tasks.store.nonces import RedisNonces
from cloudassist_tasks.store.notify import PubSubNotify
from cloudassist_tasks.store.outbox import RedisOutbox
from cloudassist_tasks.store.power import RedisPowerRecords
from cloudassist_tasks.store.runs import RedisRuns, new_nonce
from cloudassist_tasks.store.schedules import RedisSchedules
from cloudassist_tasks.store.tagging import RedisTags
from cloudassist_tasks.store.workers import RedisWorkers


class RedisStore:
    """`ports.store.Store`, with the clock and the wake-ups of the same server. Make it with `open`."""

    def __init__(
        self,
        link: Link,
        clock: StoreClock,
        notify: PubSubNotify,
        events: RedisEvents,
        new_nonce: Callable[[], str] = new_nonce,
    ) -> None:
        self.link = link
        self.clock = clock
        self.notify = notify
        runs = RedisRuns(link, new_nonce)
        self.commands: Commands = RedisCommands(link)
        self.instances: Instances = RedisInstances(link)
        loading = InvocationLoading(link)
        self._memory = MemoryWatch(link)
        self.invocations: Invocations = RedisInvocations(link, loading, self._memory)
        self.schedules: Schedules = RedisSchedules(link, loading)
        self.runs: Runs = runs
        self.power: PowerRecords = RedisPowerRecords(link)
        self.tags: Tags = RedisTags(link)
        self.workers: Workers = RedisWorkers(link, runs)
        self.access_keys: AccessKeys = RedisAccessKeys(link)
        self._audit = RedisAudit(link)
        self.audit: Audit = self._audit
        self.nonces: Nonces = RedisNonces(link)
        self.events: Events = events
        self.outbox: Outbox = RedisOutbox(link)
        self._end_events = events.close

    @classmethod
    async def open(cls, url: str) -> Self:
        """At `redis://`, `rediss://` or `unix://`; anything else is `Refused(BAD_SETTING)`.

        `Broken` if the store does not answer."""
        link = Link(url)
        return cls(link, await StoreClock.start(link), PubSubNotify(url), RedisEvents(link, url))

    async def invocations_on(self, day: str) -> int:
        return int(await self.link.call("GET", keys.day(day)) or 0)

    async def turn(self, what: str, *, for_ms: int) -> bool:
        """The period is measured by the server."""
        return bool(await self.link.script("take_turn", [keys.turn(what)], [for_ms]))

    async def is_full(self) -> bool:
        return await self._memory.is_full()

    async def facts(self) -> Mapping[str, str]:
        lines = (await self.link.call("INFO")).decode(errors="replace").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        try:
            told = await self.link.call("CONFIG", "GET", "appendfsync")
        except Broken:  # hosted servers keep their configuration to themselves
            return facts
        words = [word.decode() for word in told]
        return facts | dict(zip(words[::2], words[1::2], strict=True))

    async def ping(self) -> None:
        await self.link.call("PING")

    async def close(self) -> None:
        await self._audit.close()
        await self.clock.close()
        await self.notify.close()
        await self._end_events()
        await self.link.close()
