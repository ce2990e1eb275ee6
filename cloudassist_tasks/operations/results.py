"""The runs of many invocations as one list, newest invocation first, in pages.

A position is the store's cursor in front of an invocation and how many of that invocation's members are
behind us; it stays right while invocations are opened and forgotten.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.status import LegacyStatus, RunStatus, legacy_of
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.listing import ANY_STATUS, InvocationFilter

CHUNK = 1_000
"""Members looked at in one step of the store, where a filter may leave most of them out."""

LOOKED_AT = 5_000
"""The most members that one page looks at; a page by token then comes short and goes on."""

Item = tuple[Invocation, Run]

Member = tuple[int, InstanceId]
"""With its place among the members of its invocation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    items: Sequence[Item]
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


@dataclass(frozen=True, slots=True)
class _Found:
    place: _Place
    """In front of it."""
    item: Item


@dataclass(frozen=True, slots=True)
class _Step:
    found: list[_Found]
    members: int
    """That are behind us by it."""
    looked: int
    """How many of them were read."""
    dropped: int
    """Fitting ones that were passed over."""


class Results:
    """The runs in a wanted state of the invocations that fit."""

    def __init__(self, plane: Plane, wanted: InvocationFilter) -> None:
        self.plane = plane
        self.wanted = wanted

    async def behind(self, position: str, size: int) -> ResultPage:
        """The next `size` results behind a position."""
        found, place = await self._collect(_Place.of(position), size + 1, look_at=LOOKED_AT)
        if len(found) > size:
            place = found[size].place
        return ResultPage(items=[one.item for one in found[:size]], position=str(place) if place else "")

    async def numbered(self, skip: int, size: int) -> ResultPage:
        """`size` results behind the first `skip`, and how many there are in all."""
        if self.wanted.instance_id is not None:  # one run of each invocation
            page = await self.plane.store.invocations.page(self.wanted, limit=size, skip=skip, count=True)
            steps = [await self._step(one, _Place(), 1) for one in page.items]
            return ResultPage(items=[one.item for step in steps for one in step.found], total=page.total)
        place = await self.plane.store.invocations.run_place(self.wanted, skip=skip)
        found, _ = await self._collect(_Place(place.cursor), size, drop=place.offset)
        return ResultPage(items=[one.item for one in found], total=place.total)

    # -- inside

    async def _collect(
        self, place: _Place, wanted: int, *, drop: int = 0, look_at: int | None = None
    ) -> tuple[list[_Found], _Place | None]:
        """The first `wanted` results from a place on, without the first `drop`, which are all of one
        invocation; and where to go on, or None when there is no more. No more than about `look_at` members
        are looked at."""
        found: list[_Found] = []
        looked = 0
        while True:
            page = await self.plane.store.invocations.page(
                self.wanted, limit=wanted - len(found), cursor=place.cursor
            )
            for invocation, behind in zip(page.items, page.cursors, strict=True):
                while place.offset < self._size(invocation):
                    step = await self._step(invocation, place, wanted - len(found), drop)
                    found += step.found
                    drop -= step.dropped
                    place = _Place(place.cursor, place.offset + step.members)
                    looked += step.looked
                    if len(found) == wanted or (look_at and looked >= look_at):
                        return found, place
                place, drop = _Place(behind), 0
            if not page.cursor:
                return found, None
            place = _Place(page.cursor)

    async def _step(self, invocation: Invocation, place: _Place, wanted: int, drop: int = 0) -> _Step:
        """Results of one invocation from a place on, but for the first `drop`."""
        runs = self.plane.store.runs
        if not self._is_sparse(invocation):
            passed = min(drop, self._size(invocation) - place.offset)
            place = _Place(place.cursor, place.offset + passed)
            chosen = await self._members(invocation, place, min(wanted, CHUNK))
            members, looked = passed + len(chosen), len(chosen)
        else:
            candidates = await self.plane.store.invocations.candidates(
                invocation, self.wanted.run_statuses, start=place.offset, skip=drop, limit=CHUNK
            )
            ids = [id_ for _, id_ in candidates.items]
            fitting = [
                member
                for member, status in zip(
                    candidates.items, await runs.statuses_of(invocation, ids), strict=True
                )
                if status in self.wanted.run_statuses
            ]
            rest = min(drop - candidates.passed, len(fitting))
            chosen, more = fitting[rest : rest + wanted], fitting[rest + wanted :]
            passed = candidates.passed + rest
            members, looked = (more[0][0] if more else candidates.next) - place.offset, len(ids)
        read = await runs.of(invocation, [id_ for _, id_ in chosen]) if chosen else []
        found = [
            _Found(_Place(place.cursor, offset), (invocation, run))
            for (offset, _), run in zip(chosen, read, strict=True)
            if run.status in self.wanted.run_statuses  # it may have moved
        ]
        return _Step(found, max(members, 1), looked, passed)

    async def _members(self, invocation: Invocation, place: _Place, limit: int) -> Sequence[Member]:
        if self.wanted.instance_id is not None:
            return [(0, self.wanted.instance_id)]
        store, first = self.plane.store.invocations, place.offset
        return list(enumerate(await store.members(invocation.spec.id, start=first, limit=limit), start=first))

    def _size(self, invocation: Invocation) -> int:
        return 1 if self.wanted.instance_id is not None else invocation.total

    def _is_sparse(self, invocation: Invocation) -> bool:
        """Some of the runs may be in no wanted state; its tally knows."""
        fitting = sum(invocation.tally.get(status, 0) for status in self.wanted.run_statuses)
        return self.wanted.instance_id is None and fitting < invocation.total


def record_statuses(record_status: str) -> frozenset[RunStatus]:
    """The states that a filter stands for: a classic one, or Success, Pending and Scheduled themselves.
    `Refused(BAD_VALUE)`."""
    if not record_status:
        return ANY_STATUS
    if found := frozenset(status for status in RunStatus if legacy_of(status) == record_status):
        return found
    if record_status in (RunStatus.SUCCESS, RunStatus.PENDING, RunStatus.SCHEDULED):
        return frozenset({RunStatus(record_status)})
    raise Refused(
        Kind.BAD_VALUE,
        f"InvokeRecordStatus {record_status[:40]!r} does not exist; there are"
        f" {', '.join(status for status in LegacyStatus if status is not LegacyStatus.PARTIAL_FAILED)}",
    )
