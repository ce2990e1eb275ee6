"""Look at the plane while the storm blows, as users do: what is open, whether tallies add up, who beats.

Uses a plane of this process; while the store is away it looks again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import redis

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.store import keys as names
from tests.chaos.crew import Crew, Job
from tests.support.valkey import ValkeyServer

__all__ = ["Watch", "differing"]

EVERY_S = 1.0
OPEN_AT_ONCE = 10_000


@dataclass(slots=True, kw_only=True)
class Watch:
    plane: Plane
    crew: Crew
    valkey: ValkeyServer
    open_runs: Sequence[RunKey] = ()
    """Those that wait or run, of what runs once and of rounds."""
    open_rounds: Sequence[RoundKey] = ()
    most_open: int = 0
    wrong: list[str] = field(default_factory=list)
    """Tallies that did not add up at the moment they were read."""
    absent: Mapping[Job, list[tuple[int, int]]] = field(default_factory=lambda: {job: [] for job in Job})
    """From when to when, in ms, nobody did that job."""
    looks: int = 0

    async def look_until(self, over: asyncio.Event) -> None:
        """Again and again."""
        while not over.is_set():
            for job, absent in self.absent.items():
                self._look_at(job, absent)
            try:
                await self.look()
            except Broken:
                pass  # the store is away
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Once. `Broken`."""
        store = self.plane.store
        rounds = await store.invocations.open_rounds(limit=OPEN_AT_ONCE)
        found: list[RunKey] = []
        for of in rounds:
            invocation = await store.invocations.get(of.invoke_id, round=of.round)
            if invocation is None or invocation.repetition is not None:
                continue
            self._check(invocation)
            members = await store.invocations.members(of.invoke_id, round=of.round, limit=OPEN_AT_ONCE)
            keys = [RunKey(of.invoke_id, member, of.round) for member in members]
            await asyncio.to_thread(self._count, of, keys)
            statuses = await store.runs.statuses(keys)
            found += [key for key, status in zip(keys, statuses, strict=True) if status not in FINAL]
        self.open_runs, self.open_rounds = found, rounds
        self.most_open = max(self.most_open, len(found))
        self.looks += 1

    def _check(self, invocation: Invocation) -> None:
        """R6: what anyone reads at any moment adds up."""
        counted = sum(invocation.tally.values())
        final = sum(invocation.tally.get(status, 0) for status in FINAL)
        closed = bool(invocation.finish_ms)
        if counted != invocation.total or closed != (final == invocation.total):
            tally = {str(status): n for status, n in invocation.tally.items() if n}
            self.wrong.append(f"{invocation.of}: {tally} of {invocation.total}, closed: {closed}")

    def _count(self, of: RoundKey, keys: Sequence[RunKey]) -> None:
        """R6: at one moment, the tally against the runs themselves. `Broken`."""
        try:
            with closing(self.valkey.client()) as client, client.pipeline(transaction=True) as together:
                together.hgetall(names.tally(of.invoke_id, of.round))
                for key in keys:
                    together.hget(names.run(key), "status")
                told, *statuses = together.execute()
        except redis.RedisError as error:
            raise Broken(f"the store is away: {error}") from error
        if found := differing(told, statuses):
            self.wrong.append(f"{of}: {found}")

    def _look_at(self, job: Job, absent: list[tuple[int, int]]) -> None:
        now_ms = int(1_000 * time.time())
        if self.crew.ready(job):
            return
        if absent and now_ms - absent[-1][1] < 3_000 * EVERY_S:
            absent[-1] = (absent[-1][0], now_ms)
        else:
            absent.append((now_ms - int(1_000 * EVERY_S), now_ms))

    async def all_closed(self) -> bool:
        """Nothing is open, schedules neither. `Broken`."""
        await self.look()
        return not self.open_rounds and not await self.plane.store.schedules.open_ids(limit=1)


def differing(told: Mapping[str, str], statuses: Sequence[str | None]) -> str:
    """What a stored tally and a count of its runs do not agree on; empty: nothing. A run without a state has
    not been taken yet."""
    tally = {status: int(told[status]) for status in RunStatus if int(told.get(status, 0))}
    counted = dict(Counter(RunStatus(status or RunStatus.PENDING) for status in statuses))
    if tally == counted:
        return ""
    return f"the tally says {_shown(tally)}, the runs are {_shown(counted)}"


def _shown(counts: Mapping[RunStatus, int]) -> dict[str, int]:
    return {str(status): counts[status] for status in sorted(counts)}
