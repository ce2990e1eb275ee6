"""Schedules: rounds, changes, ends, boots that are awaited. What is due is in `due_schedules.py`.

`fire` is the step that makes a time fire once: it looks whether the schedule is still due at the time that
the caller has found, writes the next one and opens the round, or does nothing.
"""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cloudassist_tasks.domain.boot import KnownBoot
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey
from cloudassist_tasks.domain.invocation import AT_BOOT, Invocation, InvocationSpec, Repetition, Why
from cloudassist_tasks.ports.schedules import (
    EndedParts,
    MissedTicks,
    OpenedRound,
    Overlooked,
    Planned,
    Standing,
)
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.changing import OVER_QUOTA, keys_of_change, words_of_kept
from cloudassist_tasks.store.commands import over_quota
from cloudassist_tasks.store.due_schedules import DueSchedules
from cloudassist_tasks.store.forget import forget_outlived, forget_round
from cloudassist_tasks.store.invocations import CHUNK, run_keys
from cloudassist_tasks.store.link import Link, Word
from cloudassist_tasks.store.loading import InvocationLoading
from cloudassist_tasks.store.spec_records import spec_blob
from cloudassist_tasks.store.standing import read_standing
from cloudassist_tasks.store.tokens import proof
from cloudassist_tasks.store.words import FINAL_STATUSES


class RedisSchedules(DueSchedules):
    """`ports.schedules.Schedules`."""

    def __init__(self, link: Link, loading: InvocationLoading) -> None:
        super().__init__(link)
        self._loading = loading

    async def standing(self, ids: Sequence[InvokeId]) -> Sequence[Standing | None]:
        return await read_standing(self._link, self._loading, ids) if ids else []

    async def fire(
        self, planned: Sequence[Planned], *, batch: int, now_ms: int
    ) -> Sequence[OpenedRound | None]:
        return await self._open([(one.due.invoke_id, _fired(one, batch, now_ms)) for one in planned])

    async def open_round(
        self,
        invoke_id: InvokeId,
        *,
        why: Why,
        batch: int,
        now_ms: int,
        only: InstanceId | None = None,
        boot: tuple[str, str] | None = None,
        last: bool = False,
    ) -> OpenedRound | None:
        before, seen = boot or ("", "")
        asked: Sequence[Word] = [
            *("", "", "", ""),
            now_ms,
            why,
            now_ms,
            batch,
            *(0, 0, 0, ""),
            only or "",
            before,
            seen,
            int(last),
            0,
        ]
        [opened] = await self._open([(invoke_id, asked)], keys.asked(secrets.token_hex(12)))
        return opened

    async def _open(
        self, asked: Sequence[tuple[InvokeId, Sequence[Word]]], *known: str
    ) -> list[OpenedRound | None]:
        replies = await self._link.scripts(
            "open_round",
            [
                ([keys.header(id_), keys.DUE_SCHEDULES, keys.OPEN, keys.EVENTS, *known], [id_, *args])
                for id_, args in asked
            ],
        )
        return [_opened(reply) for reply in replies]

    async def end(self, invoke_id: InvokeId, *, now_ms: int) -> bool:
        return bool(
            await self._link.script(
                "end_schedule",
                [keys.header(invoke_id), keys.DUE_SCHEDULES, keys.OPEN],
                [invoke_id, now_ms],
            )
        )

    async def end_parts(
        self, invoke_id: InvokeId, ids: Sequence[InstanceId], *, leave: bool, now_ms: int
    ) -> EndedParts:
        if len(ids) > CHUNK:
            raise ValueError(f"{len(ids)} members in one step; give at most {CHUNK:,} at a time")
        closed, flat = await self._link.script(
            "end_parts",
            [
                keys.header(invoke_id),
                keys.OPEN,
                keys.COMMANDS_IN_USE,
                keys.EVENTS,
                keys.OUTBOX,
                keys.DUE_SCHEDULES,
            ],
            [invoke_id, now_ms, int(leave), keys.RUN, FINAL_STATUSES, *ids],
        )
        busy: defaultdict[int, list[InstanceId]] = defaultdict(list)
        for id_, round_ in zip(flat[::2], flat[1::2], strict=True):
            busy[round_].append(InstanceId(id_.decode()))
        return EndedParts(closed=bool(closed), busy=busy)

    async def staying(self, invoke_id: InvokeId, ids: Sequence[InstanceId]) -> Sequence[InstanceId]:
        if not ids:
            return []
        scores = await self._link.call("ZMSCORE", keys.left(invoke_id), *ids)
        return [id_ for id_, score in zip(ids, scores, strict=True) if score is None]

    async def pause(self, invoke_id: InvokeId, overlooked: Overlooked, *, now_ms: int) -> bool:
        keys_ = [keys.header(invoke_id), keys.DUE_SCHEDULES]
        args = [now_ms, *_words_of(overlooked)]
        return bool(await self._link.script("pause_schedule", keys_, [invoke_id, *args]))

    async def resume(
        self, invoke_id: InvokeId, found: Repetition, *, next_ms: int | None, tick_ms: int, now_ms: int
    ) -> bool:
        keys_ = [keys.header(invoke_id), keys.DUE_SCHEDULES]
        args = [found.version, found.settled_ms, _or_empty(next_ms), tick_ms, now_ms]
        return bool(await self._link.script("resume_schedule", keys_, [invoke_id, *args]))

    async def modify(
        self,
        spec: InvocationSpec,
        *,
        version: int,
        added: Sequence[InstanceId],
        next_ms: int | None,
        tick_ms: int,
        now_ms: int,
        overlooked: Overlooked,
        changed: bool = True,
        keep_with_quota: int = 0,
        token: str = "",
        request_hash: str = "",
        token_ttl_s: int = 86_400,
    ) -> bool:
        kept = spec.command if keep_with_quota else None
        reply = await self._link.script(
            "modify_schedule",
            keys_of_change(spec, version, added, token=token, kept=kept),
            [
                spec.id,
                version - 1 if changed else version,
                spec_blob(spec) if changed else "",
                _or_empty(next_ms),
                tick_ms,
                now_ms,
                int(spec.repeat_mode in AT_BOOT),
                len(facets.MORE_MEMBERS),
                spec.command.id,
                proof(token, request_hash),
                token_ttl_s * 1_000,
                keep_with_quota,
                *words_of_kept(kept),
                *_words_of(overlooked),
                *added,
            ],
        )
        if reply == OVER_QUOTA:
            raise over_quota(keep_with_quota)
        return bool(reply)

    async def rounds(
        self, invoke_id: InvokeId, *, limit: int, newest: int | None = None
    ) -> Sequence[Invocation]:
        highest = "+inf" if newest is None else newest
        numbers = await self._link.call(
            "ZRANGE", keys.rounds(invoke_id), highest, "-inf", *("BYSCORE", "REV", "LIMIT", 0, limit)
        )
        if not numbers:
            return []
        loaded = await self._loading.load([RoundKey(invoke_id, int(n)) for n in numbers])
        return [one for one in loaded if one is not None]

    async def round_count(self, invoke_id: InvokeId) -> int:
        return int(await self._link.call("ZCARD", keys.rounds(invoke_id)))

    async def skipped(self, invoke_id: InvokeId, round: int, *, limit: int) -> Sequence[InstanceId]:
        ids = await self._link.call("ZRANGE", keys.skipped(invoke_id, round), 0, limit - 1)
        return [InstanceId(id_.decode()) for id_ in ids]

    async def missed(self, invoke_id: InvokeId) -> Sequence[MissedTicks]:
        found = []
        for line in reversed(await self._link.call("LRANGE", keys.missed(invoke_id), 0, -1)):
            count, first, last, seen, done = line.decode().split(" ")
            found.append(
                MissedTicks(
                    count=int(count), first_ms=int(first), last_ms=int(last), seen_ms=int(seen), done=done
                )
            )
        return found

    async def open_ids(self, *, limit: int, after: int = 0) -> Sequence[InvokeId]:
        oldest = await self._link.call("ZRANGE", keys.SCHEDULES, after, after + limit - 1)
        return [InvokeId(keys.id_of(entry)) for entry in oldest]

    async def forget_rounds(self, invoke_id: InvokeId, *, keep: int, before_ms: int) -> int:
        """In steps: from the oldest on, as long as they are old or too many."""
        await forget_outlived(self._link, invoke_id)
        too_many = await self.round_count(invoke_id) - keep
        dropped, at = 0, 0
        while numbers := await self._link.call("ZRANGE", keys.rounds(invoke_id), at, at + CHUNK - 1):
            loaded = await self._loading.load([RoundKey(invoke_id, int(n)) for n in numbers])
            for number, round_ in zip(numbers, loaded, strict=True):
                old = round_ is None or round_.opened_ms < before_ms
                if not old and dropped >= too_many:
                    return dropped
                if round_ is not None and not round_.finish_ms:
                    at += 1
                    continue
                await forget_round(self._link, RoundKey(invoke_id, int(number)))
                dropped += 1
        return dropped

    # -- boots

    async def take_boots(self, *, now_ms: int, again_ms: int, limit: int) -> Sequence[InstanceId]:
        taken = await self._link.script("take_from", [keys.BOOTS], [now_ms, again_ms, limit])
        return [InstanceId(id_.decode()) for id_ in taken]

    async def awaiting_boot(self, instance_id: InstanceId) -> Sequence[InvokeId]:
        ids = await self._link.call("SMEMBERS", keys.boots_awaited(instance_id))
        return sorted(InvokeId(id_.decode()) for id_ in ids)

    async def known_boot(self, invoke_id: InvokeId, instance_id: InstanceId) -> KnownBoot | None:
        member, left, ended, word = await self._link.batch(
            [
                ("ZSCORE", keys.members(invoke_id), instance_id),
                ("ZSCORE", keys.left(invoke_id), instance_id),
                ("HEXISTS", keys.ended(invoke_id), instance_id),
                ("HGET", keys.boots(invoke_id), instance_id),
            ]
        )
        if member is None or left is not None or ended:
            return None
        return KnownBoot(word=(word or b"").decode())

    async def note_boot(
        self, invoke_id: InvokeId, instance_id: InstanceId, *, before: str, boot: str
    ) -> bool:
        keys_ = [keys.header(invoke_id), keys.boots(invoke_id)]
        return bool(await self._link.script("note_boot", keys_, [instance_id, before, boot]))

    async def no_boot(self, invoke_id: InvokeId, instance_id: InstanceId) -> None:
        await self._link.script(
            "no_boot", [keys.boots_awaited(instance_id), keys.BOOTS], [invoke_id, instance_id]
        )


def _fired(one: Planned, batch: int, now_ms: int) -> Sequence[Word]:
    due, plan = one.due, one.plan
    return [
        due.due_ms,
        due.version,
        _or_empty(one.next_due_ms),
        plan.next_tick_ms or 0,
        now_ms,
        plan.why or "",
        plan.at_ms,
        batch,
        plan.missed,
        plan.missed_from_ms,
        plan.missed_to_ms,
        due.timing.misfire,
        *("", "", "", ""),
        plan.settled_ms,
    ]


def _words_of(overlooked: Overlooked) -> Sequence[Word]:
    return [
        _or_empty(overlooked.due_ms),
        overlooked.missed,
        overlooked.first_ms,
        overlooked.last_ms,
    ]


def _or_empty(time_ms: int | None) -> Word:
    return "" if time_ms is None else time_ms


def _opened(reply: Sequence[Any]) -> OpenedRound | None:
    if not reply:
        return None
    number, total, skipped, reserved, ended = reply
    return OpenedRound(
        number=number, total=total, skipped=skipped, reserved=run_keys(reserved), ended=bool(ended)
    )
