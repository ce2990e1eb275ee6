"""The runs of many invocations as one list, newest invocation first, in pages.

A position is the store's cursor in front of an invocation and how many of that invocation's members are
behind us; it stays right while invocations are opened and forgotten.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.status import LegacyStatus, RunStatus, legacy_of
from cloudassist_tasks.domain.tags import TagFilter, tags_match
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.store import Page

CHUNK = 1_000
"""Members looked at in one step of the store, where a filter may leave most of them out."""

INVOCATIONS_AT_ONCE = 200
"""Invocations read in one step where all of them are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    items: Sequence[tuple[Invocation, Run]]
    position: str = ""
    """Behind the last item; empty when there is no more."""
    total: int = 0

    @property
    def runs(self) -> Sequence[Run]:
        return [run for _, run in self.items]


@dataclass(frozen=True, slots=True)
class _Place:
    cursor: str = ""
    """The store's, in front of the invocation."""
    offset: int = 0
    """Members of the invocation that are behind us."""

    def __str__(self) -> str:
        return json.dumps([self.cursor, self.offset], separators=(",", ":"))

    @classmethod
    def of(cls, position: str) -> "_Place":
        """`Refused(BAD_NEXT_TOKEN)`."""
        try:
            match json.loads(position) if position else ["", 0]:
                case [str(cursor), int(offset)] if offset >= 0:
                    return cls(cursor, offset)
        except ValueError:
            pass
        raise Refused(Kind.BAD_NEXT_TOKEN, "NextToken is of another operation; leave it out to begin anew")


class Results:
    """The runs that fit the filters; an empty filter fits all. `Refused(BAD_VALUE)` for an unknown status."""

    def __init__(
        self,
        plane: Plane,
        *,
        invoke_id: str,
        instance_id: str,
        command_id: str,
        record_status: str,
        tags: TagFilter,
    ) -> None:
        self.plane = plane
        self.invoke_id = InvokeId(invoke_id)
        self.instance_id = InstanceId(instance_id)
        self.command_id = CommandId(command_id)
        self.statuses = _statuses(record_status)
        self.tags = tags

    async def behind(self, position: str, size: int) -> ResultPage:
        """The next `size` results behind a position."""
        items: list[tuple[Invocation, Run]] = []
        async for place, invocation, run in self._walk(_Place.of(position), at_once=size + 1):
            if len(items) == size:
                return ResultPage(items=items, position=str(place))
            items.append((invocation, run))
        return ResultPage(items=items)

    async def numbered(self, skip: int, size: int) -> ResultPage:
        """`size` results behind the first `skip`, and how many there are in all."""
        items: list[tuple[Invocation, Run]] = []
        total = 0
        async for invocation in self._all():
            count = await self._count(invocation)
            first, last = max(0, skip - total), min(count, skip + size - total)
            if first < last:
                items += await self._part(invocation, first, last)
            total += count
        return ResultPage(items=items, total=total)

    # -- invocations

    def _fits(self, invocation: Invocation) -> bool:
        return (
            self.command_id in ("", invocation.spec.command.id)
            and tags_match(self.tags, invocation.spec.tags)
            and (bool(self.instance_id) or self._expected(invocation) > 0)
        )

    def _expected(self, invocation: Invocation) -> int:
        """How many of an invocation's runs have a status that fits: its tally knows."""
        return sum(count for status, count in invocation.tally.items() if status in self.statuses)

    async def _all(self) -> AsyncIterator[Invocation]:
        if self.invoke_id:
            async for _, invocation in self._from(_Place()):
                yield invocation
            return
        cursor, more = "", True
        while more:
            page = await self._page(cursor, INVOCATIONS_AT_ONCE)
            for invocation in page.items:
                yield invocation
            cursor, more = page.cursor, bool(page.cursor)

    async def _page(self, cursor: str, limit: int) -> Page[Invocation]:
        return await self.plane.store.invocations.page(
            where=self._fits,
            limit=limit,
            cursor=cursor,
            command_id=self.command_id or None,
            instance_id=self.instance_id or None,
        )

    async def _from(self, place: _Place) -> AsyncIterator[tuple[_Place, Invocation]]:
        """Invocations from a place on, each with the place in front of it."""
        if self.invoke_id:
            one = await self.plane.store.invocations.get(self.invoke_id)
            if one is not None and self._fits(one):
                yield place, one
            return
        while True:  # one at a time: the cursor in front of each is a position of ours
            page = await self._page(place.cursor, 1)
            for invocation in page.items:
                yield place, invocation
            if not page.cursor:
                return
            place = _Place(page.cursor)

    # -- runs

    async def _walk(self, place: _Place, *, at_once: int) -> AsyncIterator[tuple[_Place, Invocation, Run]]:
        """The results from a place on, each with the place in front of it."""
        async for before, invocation in self._from(place):
            offset = before.offset
            sparse = self._expected(invocation) < invocation.total
            async for run in self._runs(invocation, offset, CHUNK if sparse else min(at_once, CHUNK)):
                if run.status in self.statuses:
                    yield _Place(before.cursor, offset), invocation, run
                offset += 1

    async def _runs(self, invocation: Invocation, offset: int, chunk: int) -> AsyncIterator[Run]:
        store, invoke_id = self.plane.store, invocation.spec.id
        while ids := await self._members(invocation, offset, chunk):
            for run in await store.runs.get_many(invoke_id, ids):
                yield run
            offset += len(ids)

    async def _members(self, invocation: Invocation, offset: int, limit: int) -> Sequence[InstanceId]:
        store, invoke_id = self.plane.store.invocations, invocation.spec.id
        if not self.instance_id:
            return await store.members(invoke_id, start=offset, limit=limit)
        if offset or await store.not_members(invoke_id, [self.instance_id]):
            return ()
        return (self.instance_id,)

    async def _count(self, invocation: Invocation) -> int:
        if not self.instance_id:
            return self._expected(invocation)
        if len(self.statuses) == len(RunStatus) and not self.invoke_id:
            return 1
        return len([run async for run in self._runs(invocation, 0, 1) if run.status in self.statuses])

    async def _part(self, invocation: Invocation, first: int, last: int) -> list[tuple[Invocation, Run]]:
        """Results `first` to `last` of one invocation."""
        sparse = self._expected(invocation) < invocation.total
        if not sparse:
            runs = self._runs(invocation, first, min(last - first, CHUNK))
            first, last = 0, last - first
        else:
            runs = self._runs(invocation, 0, CHUNK)
        part: list[tuple[Invocation, Run]] = []
        position = 0
        async for run in runs:
            if run.status not in self.statuses:
                continue
            if first <= position:
                part.append((invocation, run))
            position += 1
            if position >= last:
                break
        return part


def _statuses(record_status: str) -> frozenset[RunStatus]:
    """The states that a filter stands for: a classic one, or Success, Pending and Scheduled themselves."""
    if not record_status:
        return frozenset(RunStatus)
    if found := frozenset(status for status in RunStatus if legacy_of(status) == record_status):
        return found
    if record_status in (RunStatus.SUCCESS, RunStatus.PENDING, RunStatus.SCHEDULED):
        return frozenset({RunStatus(record_status)})
    raise Refused(
        Kind.BAD_VALUE,
        f"InvokeRecordStatus {record_status[:40]!r} does not exist; there are"
        f" {', '.join(status for status in LegacyStatus if status is not LegacyStatus.PARTIAL_FAILED)}",
    )
