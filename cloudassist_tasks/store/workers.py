"""Workers: who is alive, what they hold, and what becomes of it when they are gone."""

from collections.abc import Sequence

from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.ports.workers import WorkerInfo
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.invocations import run_keys
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.runs import RedisRuns
from cloudassist_tasks.store.worker_records import worker_fields, worker_from

GRAVES_FOR_MS = 24 * 3_600 * 1_000
"""How long a buried worker is remembered: it may only have been stopped, and must not claim unseen."""


class RedisWorkers:
    """`ports.workers.Workers`."""

    def __init__(self, link: Link, runs: RedisRuns) -> None:
        self._link = link
        self._runs = runs

    async def register(self, info: WorkerInfo, *, now_ms: int) -> None:
        await self._link.script(
            "register_worker",
            [keys.WORKERS, keys.worker(info.id)],
            [info.id, now_ms, *worker_fields(info)],
        )

    async def beat(self, worker: WorkerId, *, now_ms: int) -> Sequence[RunKey] | None:
        """The same runs come again at each beat until they have ended. Also gives back claims of this process
        whose answer was lost."""
        await self._runs.disown_doubtful(now_ms=now_ms)
        to_stop = await self._link.script(
            "beat_worker", [keys.WORKERS, keys.claims(worker), keys.STOPPING], [worker, now_ms]
        )
        return None if to_stop is None else run_keys(to_stop)

    async def dead(self, *, before_ms: int) -> Sequence[WorkerId]:
        ids = await self._link.call("ZRANGE", keys.WORKERS, 0, f"({before_ms}", "BYSCORE")
        return [WorkerId(id_.decode()) for id_ in ids]

    async def bury(self, worker: WorkerId, *, before_ms: int, now_ms: int, limit: int = 1_000) -> int:
        """Its claims are read first and then taken in one step, which looks at each again."""
        while True:
            held = await self._link.call("SRANDMEMBER", keys.claims(worker), limit)
            runs = run_keys(held)
            taken, left = await self._link.script(
                "bury_worker",
                [
                    keys.WORKERS,
                    keys.claims(worker),
                    keys.worker(worker),
                    keys.DUE,
                    keys.DUE_INSTANCES,
                    *[name for key in runs for name in (keys.run(key), keys.adrift(key.instance_id))],
                ],
                [
                    worker,
                    before_ms,
                    now_ms,
                    max(0, now_ms - GRAVES_FOR_MS),
                    *[word for key in runs for word in (key.run_id, key.instance_id)],
                ],
            )
            if taken or left <= 0:
                return int(taken)

    async def leave(self, worker: WorkerId) -> None:
        """One that still holds runs counts as dead from now on, so that they are not lost."""
        await self._link.script(
            "leave_worker", [keys.WORKERS, keys.claims(worker), keys.worker(worker)], [worker]
        )

    async def all(self) -> Sequence[WorkerInfo]:
        """Those that are not buried, by id."""
        flat = await self._link.call("ZRANGE", keys.WORKERS, 0, "+inf", "BYSCORE", "WITHSCORES")
        seen = {WorkerId(id_.decode()): int(score) for id_, score in hash_of(flat).items()}
        replies = await self._link.batch(
            [words for id_ in seen for words in (("HGETALL", keys.worker(id_)), ("SCARD", keys.claims(id_)))]
        )
        return sorted(
            (
                worker_from(id_, hash_of(replies[2 * at]), seen_ms, claims=replies[2 * at + 1])
                for at, (id_, seen_ms) in enumerate(seen.items())
            ),
            key=lambda info: info.id,
        )
