"""All registered instances, kept in memory and brought up to date by what has changed since.

Every listing of instances, and every selection by name or tag, looks at all of them. The store numbers the
changes; a process asks for those behind the last that it knows and reads again only what they name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.selector import natural_order
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Link

CHUNK = 1_000
"""How many changes are asked for in one round trip."""

Change = tuple[bytes, int]
"""Which instance, and the number of the change."""

NONE: Change = (b"", 0)


class Register:
    """The instances of one store, as one process knows them."""

    def __init__(
        self,
        link: Link,
        read: Callable[[Sequence[InstanceId]], Awaitable[Mapping[InstanceId, Instance]]],
    ) -> None:
        """`read` gives the registered ones among some ids."""
        self._link = link
        self._read = read
        self._last = NONE
        self._by_id: dict[InstanceId, Instance] = {}
        self._ordered: list[Instance] = []
        self._one_at_a_time = asyncio.Lock()

    async def all(self) -> Sequence[Instance]:
        """Every instance as it is now, in natural order of the ids."""
        async with self._one_at_a_time:
            stale = False
            while changes := await self._changes():
                ids = [InstanceId(id_.decode()) for id_, _ in changes]
                found = await self._read(ids)
                for id_ in ids:
                    self._by_id.pop(id_, None)
                self._by_id |= found
                self._last, stale = changes[-1], True
            if stale or len(self._ordered) != len(self._by_id):
                self._ordered = sorted(self._by_id.values(), key=lambda one: natural_order(one.id))
            return list(self._ordered)

    async def _changes(self) -> Sequence[Change]:
        """The next ones behind the last that we know. A store that does not know that one (it was emptied, or
        an older copy of it was put back) is read anew."""
        id_, number = self._last
        scored = await self._link.call(
            "ZRANGE", keys.INSTANCE_CHANGES, number, "+inf", "BYSCORE", "LIMIT", 0, CHUNK, "WITHSCORES"
        )
        changes = [(one, int(score)) for one, score in zip(scored[::2], scored[1::2], strict=True)]
        if self._last == NONE:
            return changes
        if changes and changes[0] == self._last:
            return changes[1:]
        if changes and int(await self._link.call("ZSCORE", keys.INSTANCE_CHANGES, id_) or 0) > number:
            return changes  # that one has changed again
        self._last, self._by_id = NONE, {}
        return await self._changes()
