"""Runs: claims, moves, what is due, what is overdue.

A short run costs three round trips: `claim`, `commit_launching`, `finish`. A call that is sent again
because its answer was lost is recognised (`claim` carries a nonce, `finish` its times). A claim whose
answer never came is disowned as soon as the store answers again, or nobody would know that it is held.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.runs import Claim, ClaimWord, Finished, Held, Moved
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.instance_records import contact_from, instance_from
from cloudassist_tasks.store.invocations import run_keys
from cloudassist_tasks.store.link import Link, Word
from cloudassist_tasks.store.parts import runs_of, statuses_of
from cloudassist_tasks.store.run_records import output_from, run_from
from cloudassist_tasks.store.words import FAILURES, OPEN_STATUSES, ORIGINS

CHUNK = 1_000
"""How many runs are read in one round trip."""

NEXT_DUE_AFTER_MS = 3_000
"""When a run that was given another's slot is published again, should its first message be lost."""

DOUBT_FOR_MS = 30_000
"""How long a claim without an answer is looked at again."""


def new_nonce() -> str:
    """Tells one call from all others of its process."""
    return secrets.token_hex(6)


class RedisRuns:
    """`ports.runs.Runs`."""

    def __init__(self, link: Link, new_nonce: Callable[[], str] = new_nonce) -> None:
        self._link = link
        self._new_nonce = new_nonce
        self._doubtful: dict[str, tuple[RunKey, WorkerId, int]] = {}
        """Claims that had no answer, by nonce, and when they were asked for."""

    async def claim(
        self,
        key: RunKey,
        *,
        worker: WorkerId,
        now_ms: int,
        at_once: int,
        may_wait: int,
        force: bool = False,
    ) -> Claim:
        nonce = self._new_nonce()
        args: list[Word] = [
            key.run_id,
            key.instance_id,
            worker,
            nonce,
            now_ms,
            at_once,
            may_wait,
            int(force),
            OPEN_STATUSES,
            keys.moves(key.invoke_id),
            RunStatus.ABORTED,
            ErrorCode.TASK_CONCURRENCY_LIMIT,
            f"{may_wait} runs wait for {key.instance_id} already ({at_once} at once); try again later",
            FAILURES,
            ErrorCode.MAX_ERRORS_EXCEEDED,
        ]
        try:
            reply = await self._link.script("claim_run", _claim_keys(key, worker), args)
        except BaseException:  # cancelled, too
            self._doubtful[nonce] = (key, worker, now_ms)
            raise
        return _claim(key, worker, reply)

    async def commit_launching(self, held: Held, *, boot_id: str, deadline_ms: int, now_ms: int) -> Moved:
        key = held.key
        return _moved(
            await self._link.script(
                "commit_launching",
                [
                    keys.run(key),
                    keys.claims(held.worker),
                    keys.header(key.invoke_id, key.round),
                    keys.DEADLINES,
                    keys.instance(key.instance_id),
                    keys.BOOTS,
                ],
                [key.run_id, held.worker, held.epoch, boot_id, deadline_ms, now_ms, RunStatus.PENDING],
            )
        )

    async def started(self, held: Held, *, start_ms: int, now_ms: int) -> Moved:
        """Done also when the run was Running already (it is followed again); its start stays."""
        key = held.key
        return _moved(
            await self._link.script(
                "start_run",
                [keys.run(key), keys.claims(held.worker), keys.tally(key.invoke_id, key.round), keys.EVENTS],
                [
                    key.run_id,
                    held.worker,
                    held.epoch,
                    start_ms,
                    now_ms,
                    ORIGINS[RunStatus.RUNNING],
                    keys.moves(key.invoke_id),
                ],
            )
        )

    async def record_output(self, held: Held, output: BoundedOutput, *, now_ms: int) -> Moved:
        key = held.key
        return _moved(
            await self._link.script(
                "record_output",
                [keys.run(key), keys.claims(held.worker), keys.output(key)],
                [
                    key.run_id,
                    held.worker,
                    held.epoch,
                    output.head,
                    output.tail,
                    output.total,
                    output.dropped,
                    now_ms,
                    OPEN_STATUSES,
                    keys.moves(key.invoke_id),
                ],
            )
        )

    async def finish(
        self,
        held: Held,
        outcome: Outcome,
        *,
        output: BoundedOutput,
        start_ms: int,
        finish_ms: int,
        now_ms: int,
    ) -> Finished:
        """The same call, made again with the same times because its answer was lost, gets the same answer."""
        key = held.key
        reply = await self._link.script(
            "finish_run",
            _finish_keys(held),
            [
                key.run_id,
                key.instance_id,
                held.worker,
                held.epoch,
                f"{outcome.status}@{now_ms}",
                outcome.status,
                outcome.error_code,
                outcome.error_info,
                "" if outcome.exit_code is None else outcome.exit_code,
                output.head,
                output.tail,
                output.total,
                output.dropped,
                start_ms,
                finish_ms,
                now_ms,
                now_ms + NEXT_DUE_AFTER_MS,
                ORIGINS[outcome.status],
                keys.moves(key.invoke_id),
                FAILURES,
            ],
        )
        next_, capped = reply[5:7]
        return Finished(
            moved=_moved(reply),
            closed=bool(reply[4]),
            next=RunKey.parse(next_.decode()) if next_ else None,
            capped=bool(capped),
        )

    async def give_back(self, held: Held, *, look_at_ms: int, adrift: bool, now_ms: int) -> bool:
        key = held.key
        done = await self._link.script(
            "give_back",
            [
                keys.run(key),
                keys.claims(held.worker),
                keys.DUE,
                keys.DUE_INSTANCES,
                keys.adrift(key.instance_id),
            ],
            [
                key.run_id,
                key.instance_id,
                held.worker,
                held.epoch,
                look_at_ms,
                int(adrift),
                now_ms,
                OPEN_STATUSES,
            ],
        )
        return bool(done)

    async def get(self, key: RunKey) -> Run | None:
        known, place, hash_ = await self._link.batch(
            [
                ("EXISTS", keys.header(key.invoke_id, key.round)),
                ("ZSCORE", keys.members(key.invoke_id, key.round), key.instance_id),
                ("HGETALL", keys.run(key)),
            ]
        )
        if not known or place is None:
            return None
        return run_from(key, hash_of(hash_))

    async def get_many(
        self,
        invoke_id: InvokeId,
        ids: Sequence[InstanceId],
        *,
        round: int = 0,
    ) -> Sequence[Run]:
        runs: list[Run] = []
        wanted = [RunKey(invoke_id, id_, round) for id_ in ids]
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            replies = await self._link.batch([("HGETALL", keys.run(key)) for key in chunk])
            runs += [run_from(key, hash_of(reply)) for key, reply in zip(chunk, replies, strict=True)]
        return runs

    async def of(self, invocation: Invocation, ids: Sequence[InstanceId]) -> Sequence[Run]:
        invoke_id, runs = invocation.spec.id, list[Run]()
        if invocation.repetition is None:
            return await self.get_many(invoke_id, ids, round=invocation.round)
        for start in range(0, len(ids), CHUNK):
            runs += await runs_of(self._link, [(invoke_id, id_) for id_ in ids[start : start + CHUNK]])
        return runs

    async def statuses_of(self, invocation: Invocation, ids: Sequence[InstanceId]) -> Sequence[RunStatus]:
        invoke_id = invocation.spec.id
        if invocation.repetition is None:
            return await self.statuses([RunKey(invoke_id, id_, invocation.round) for id_ in ids])
        return await statuses_of(self._link, [(invoke_id, id_) for id_ in ids])

    async def statuses(self, keys_: Sequence[RunKey]) -> Sequence[RunStatus]:
        if not keys_:
            return []
        replies = await self._link.batch([("HGET", keys.run(key), "status") for key in keys_])
        return [RunStatus((reply or b"Pending").decode()) for reply in replies]

    async def output(self, keys_: Sequence[RunKey]) -> Sequence[BoundedOutput]:
        outputs: list[BoundedOutput] = []
        for start in range(0, len(keys_), CHUNK):
            chunk = keys_[start : start + CHUNK]
            replies = await self._link.batch([("HGETALL", keys.output(key)) for key in chunk])
            outputs += [output_from(hash_of(reply)) for reply in replies]
        return outputs

    async def hurry(self, keys_: Sequence[RunKey], *, now_ms: int) -> Sequence[RunKey]:
        if not keys_:
            return []
        hurried = await self._link.script(
            "hurry_runs",
            [keys.DUE, *[keys.adrift(key.instance_id) for key in keys_]],
            [now_ms, *[key.run_id for key in keys_]],
        )
        return run_keys(hurried)

    async def adrift(self, instance_id: InstanceId) -> Sequence[RunKey]:
        return sorted(run_keys(await self._link.call("SMEMBERS", keys.adrift(instance_id))))

    async def take_due(
        self, *, now_ms: int, lease_ms: int, limit: int
    ) -> tuple[Sequence[RunKey], Sequence[InstanceId]]:
        """At most `limit` of each; two steps."""
        runs = await self._take(keys.DUE, now_ms, lease_ms, limit)
        instances = await self._take(keys.DUE_INSTANCES, now_ms, lease_ms, limit)
        return run_keys(runs), [InstanceId(id_.decode()) for id_ in instances]

    async def take_overdue(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[RunKey]:
        return run_keys(await self._take(keys.DEADLINES, now_ms, lease_ms, limit))

    async def fence_later(self, key: RunKey, *, at_ms: int) -> None:
        await self._link.script("fence_run", [keys.FENCES], [key.run_id, at_ms])

    async def take_fences(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[RunKey]:
        return run_keys(await self._take(keys.FENCES, now_ms, lease_ms, limit))

    async def fenced(self, key: RunKey, *, late_result: str) -> None:
        await self._link.script("record_late", [keys.run(key), keys.FENCES], [key.run_id, late_result])

    async def disown_doubtful(self, *, now_ms: int) -> None:
        """Give back claims whose answer was lost; part of a worker's beat. Each is looked at for a while, as
        a claim may still be under way on the connection that broke."""
        for nonce, (key, worker, asked_ms) in list(self._doubtful.items()):
            await self._link.script(
                "disown_claim",
                [keys.run(key), keys.claims(worker), keys.DUE],
                [key.run_id, worker, nonce, now_ms],
            )
            if now_ms - asked_ms > DOUBT_FOR_MS:
                self._doubtful.pop(nonce, None)

    async def _take(self, scored: str, now_ms: int, lease_ms: int, limit: int) -> Sequence[bytes]:
        taken: list[bytes] = await self._link.script(
            "take_from", [scored], [now_ms, now_ms + lease_ms, limit]
        )
        return taken


def _claim_keys(key: RunKey, worker: WorkerId) -> list[str]:
    invoke_id, instance_id, round_ = key.invoke_id, key.instance_id, key.round
    return [
        keys.run(key),
        keys.header(invoke_id, round_),
        keys.tally(invoke_id, round_),
        keys.members(invoke_id, round_),
        keys.unpublished(invoke_id, round_),
        keys.unclaimed(invoke_id, round_),
        keys.OPEN,
        keys.COMMANDS_IN_USE,
        keys.DUE,
        keys.DUE_INSTANCES,
        keys.STOPPING,
        keys.WORKERS,
        keys.claims(worker),
        keys.slots(instance_id),
        keys.waiting(instance_id),
        keys.adrift(instance_id),
        keys.instance(instance_id),
        keys.EVENTS,
        keys.OUTBOX,
    ]


def _finish_keys(held: Held) -> list[str]:
    key = held.key
    return [
        keys.run(key),
        keys.claims(held.worker),
        keys.output(key),
        keys.header(key.invoke_id, key.round),
        keys.tally(key.invoke_id, key.round),
        keys.OPEN,
        keys.COMMANDS_IN_USE,
        keys.DUE,
        keys.DUE_INSTANCES,
        keys.DEADLINES,
        keys.STOPPING,
        keys.slots(key.instance_id),
        keys.waiting(key.instance_id),
        keys.adrift(key.instance_id),
        keys.instance(key.instance_id),
        keys.EVENTS,
        keys.OUTBOX,
        keys.unpublished(key.invoke_id, key.round),
    ]


def _claim(key: RunKey, worker: WorkerId, reply: Sequence[Any]) -> Claim:
    word = ClaimWord(reply[0].decode())
    unclaimed, unpublished, closed = reply[1:4] if len(reply) > 1 else (0, 0, 0)
    if word is not ClaimWord.HELD:
        return Claim(word=word, unclaimed=unclaimed, unpublished=unpublished, closed=bool(closed))
    run = run_from(key, hash_of(reply[4]))
    registered = hash_of(reply[5])
    return Claim(
        word=word,
        held=Held(key=key, worker=worker, epoch=run.epoch),
        run=run,
        instance=instance_from(registered),
        contact=contact_from(registered, reply[6]),
        unclaimed=unclaimed,
        unpublished=unpublished,
    )


def _moved(reply: Sequence[Any]) -> Moved:
    done, status, stop, stale = reply[:4]
    return Moved(
        done=bool(done),
        status=RunStatus(status.decode()),
        stop_requested=bool(stop),
        stale=bool(stale),
    )
