"""All runs of one schedule, round by round, the newest first: IncludeHistory.

A position is the number of a round and how many of its members are behind us.
"""

from collections.abc import AsyncIterator, Sequence

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, RepeatMode, Run
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.results import Item, ResultPage
from cloudassist_tasks.ports.listing import ANY_STATUS

ROUNDS = 200
MEMBERS = 500


class History:
    """Of the runs in a wanted state, on one instance or all."""

    def __init__(
        self, plane: Plane, invoke_id: str, *, instance_id: str | None, statuses: frozenset[RunStatus]
    ) -> None:
        self.plane = plane
        self.invoke_id = InvokeId(invoke_id)
        self.instance_id = InstanceId(instance_id) if instance_id else None
        self.statuses = statuses

    async def check(self) -> bool:
        """Whether there is such an invocation. `Refused(BAD_VALUE)` for one that has no rounds to show."""
        invocation = await self.plane.store.invocations.get(self.invoke_id)
        if invocation is None:
            return False
        if invocation.spec.repeat_mode not in (RepeatMode.PERIOD, RepeatMode.EVERY_REBOOT):
            raise Refused(
                Kind.BAD_VALUE, "IncludeHistory is for RepeatMode Period and EveryReboot; leave it out"
            )
        return True

    async def behind(self, position: str, size: int) -> ResultPage:
        """The next `size` behind a position."""
        before, offset = _place(position)
        items: list[Item] = []
        async for place, item in self._walk(before, offset):
            if len(items) == size:
                return ResultPage(items=items, position=place)
            items.append(item)
        return ResultPage(items=items)

    async def numbered(self, skip: int, size: int) -> ResultPage:
        """`size` behind the first `skip`, and how many there are: each round's tally knows, unless one
        instance is asked for; then its runs are counted."""
        items: list[Item] = []
        total = 0
        async for round_ in self._rounds(None):
            fitting = sum(round_.tally.get(status, 0) for status in self.statuses)
            if self.instance_id is None and (total + fitting <= skip or len(items) == size):
                total += fitting
                continue
            async for _, item in self._of_round(round_, 0):
                if total >= skip and len(items) < size:
                    items.append(item)
                total += 1
        return ResultPage(items=items, total=total)

    # -- inside

    async def _walk(self, before: int | None, offset: int) -> AsyncIterator[tuple[str, Item]]:
        async for round_ in self._rounds(before):
            async for at, item in self._of_round(round_, offset if round_.round == before else 0):
                yield f"{round_.round}:{at}", item

    async def _rounds(self, newest: int | None) -> AsyncIterator[Invocation]:
        """From that number down, whatever is opened meanwhile."""
        while found := await self.plane.store.schedules.rounds(self.invoke_id, limit=ROUNDS, newest=newest):
            for round_ in found:
                if round_.total:
                    yield round_
            newest = found[-1].round - 1

    async def _of_round(self, round_: Invocation, offset: int) -> AsyncIterator[tuple[int, Item]]:
        """With the place of each."""
        runs: Sequence[Run]
        if self.instance_id is not None:
            run = await self.plane.store.runs.get(RunKey(self.invoke_id, self.instance_id, round_.round))
            if run is not None and run.status in self.statuses and not offset:
                yield 0, (round_, run)
            return
        if self.statuses != ANY_STATUS and not any(round_.tally.get(status) for status in self.statuses):
            return
        while ids := await self.plane.store.invocations.members(
            self.invoke_id, round=round_.round, start=offset, limit=MEMBERS
        ):
            runs = await self.plane.store.runs.of(round_, ids)
            for at, run in enumerate(runs, start=offset):
                if run.status in self.statuses:
                    yield at, (round_, run)
            offset += len(ids)


def _place(position: str) -> tuple[int | None, int]:
    if not position:
        return None, 0
    round_, _, offset = position.partition(":")
    if not (round_.isdecimal() and offset.isdecimal()):
        raise Refused(Kind.BAD_NEXT_TOKEN, "NextToken is of another operation; leave it out to begin anew")
    return int(round_), int(offset)
