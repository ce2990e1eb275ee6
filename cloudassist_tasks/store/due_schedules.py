"""Which schedules are due, and when: read ahead of time, as a beat has many to fire at the same second."""

from collections.abc import Mapping, Sequence

from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Timing
from cloudassist_tasks.ports.schedules import Due
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.spec_records import spec_from

TIMINGS_KEPT = 50_000
FORESEEN_KEPT = 50_000


class DueSchedules:
    """The part of `ports.schedules.Schedules` that looks at their times."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._timings: dict[tuple[InvokeId, int], Timing] = {}
        """By schedule and version of its spec: a beat asks for them at each of their times."""
        self._foreseen: dict[tuple[InvokeId, int], Due] = {}
        """By schedule and time."""
        self._foreseen_ms = 0
        """Until when all was looked at."""

    async def due(self, *, now_ms: int, limit: int, start: int = 0) -> Sequence[Due]:
        flat = await self._link.call(
            "ZRANGE", keys.DUE_SCHEDULES, "-inf", now_ms, "BYSCORE", "LIMIT", start, limit, "WITHSCORES"
        )
        scored = _scored(flat)
        seen = [self._foreseen.pop(one, None) for one in scored]
        read = iter(await self._read([one for one, due in zip(scored, seen, strict=True) if due is None]))
        found = []
        for (id_, _), foreseen in zip(scored, seen, strict=True):
            if due := foreseen or next(read):
                found.append(due)
            else:
                await self._link.call("ZREM", keys.DUE_SCHEDULES, id_)
        return found

    async def foresee(self, *, until_ms: int) -> None:
        flat = await self._link.call(
            "ZRANGE",
            keys.DUE_SCHEDULES,
            f"({self._foreseen_ms}",
            until_ms,
            *("BYSCORE", "LIMIT", 0, FORESEEN_KEPT, "WITHSCORES"),
        )
        self._foreseen_ms = until_ms
        if len(self._foreseen) + len(flat) // 2 > FORESEEN_KEPT:
            self._foreseen.clear()
        for due in await self._read(_scored(flat)):
            if due is not None:
                self._foreseen[due.invoke_id, due.due_ms] = due

    async def still_due(self, dues: Sequence[Due]) -> Sequence[Due]:
        if not dues:
            return []
        scores = await self._link.call("ZMSCORE", keys.DUE_SCHEDULES, *[due.invoke_id for due in dues])
        return [
            due
            for due, score in zip(dues, scores, strict=True)
            if score is not None and int(score) == due.due_ms
        ]

    async def _read(self, scored: Sequence[tuple[InvokeId, int]]) -> list[Due | None]:
        """None: there is no such schedule any more."""
        if not scored:
            return []
        headers = await self._link.batch(
            [("HMGET", keys.header(id_), "spec", "tick_ms") for id_, _ in scored]
        )
        named = [(id_, int(version or 0)) for (id_, _), (version, _) in zip(scored, headers, strict=True)]
        timings = {one: self._timings[one] for one in named if one in self._timings}
        timings |= await self._learn([one for one in named if one not in timings])
        return [
            None
            if tick_ms is None or one not in timings
            else Due(
                invoke_id=one[0],
                due_ms=due_ms,
                tick_ms=int(tick_ms),
                version=one[1],
                timing=timings[one],
            )
            for one, (_, due_ms), (_, tick_ms) in zip(named, scored, headers, strict=True)
        ]

    async def _learn(self, unknown: Sequence[tuple[InvokeId, int]]) -> Mapping[tuple[InvokeId, int], Timing]:
        if not unknown:
            return {}
        if len(self._timings) > TIMINGS_KEPT:
            self._timings.clear()
        blobs = await self._link.batch([("GET", keys.spec(*one)) for one in unknown])
        learned = {
            one: spec_from(blob).timing for one, blob in zip(unknown, blobs, strict=True) if blob is not None
        }
        self._timings |= learned
        return learned

    async def next_ms(self, *, behind: int = 0) -> int | None:
        first = await self._link.call("ZRANGE", keys.DUE_SCHEDULES, behind, behind, "WITHSCORES")
        return int(first[1]) if first else None

    async def next_of(self, ids: Sequence[InvokeId]) -> Sequence[int | None]:
        if not ids:
            return []
        scores = await self._link.call("ZMSCORE", keys.DUE_SCHEDULES, *ids)
        return [None if score is None else int(score) for score in scores]


def _scored(flat: Sequence[bytes]) -> list[tuple[InvokeId, int]]:
    return [(InvokeId(id_.decode()), int(score)) for id_, score in zip(flat[::2], flat[1::2], strict=True)]
