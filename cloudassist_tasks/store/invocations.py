"""Invocations: opening, the window of what is published, listing, stopping, forgetting."""

from collections.abc import Sequence

from cloudassist_tasks.domain.errors import Kind, Refused, StoreFull
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, kind_of
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.invocations import Opened, Opening, Stopped
from cloudassist_tasks.ports.listing import Candidates, InvocationFilter, Page, RunPlace
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.commands import not_found, over_quota
from cloudassist_tasks.store.forget import forget_invocation
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.listing import find_page, find_run
from cloudassist_tasks.store.loading import InvocationLoading
from cloudassist_tasks.store.members import find_candidates
from cloudassist_tasks.store.memory import MemoryWatch
from cloudassist_tasks.store.opening import args_of_opening, keys_of_opening
from cloudassist_tasks.store.reading import entries
from cloudassist_tasks.store.tokens import proof, token_reused
from cloudassist_tasks.store.words import FAILURES, ORIGINS

CHUNK = 1_000
"""The most runs that one bulk move takes: a script holds up everybody else while it runs."""


class RedisInvocations:
    """`ports.invocations.Invocations`."""

    def __init__(self, link: Link, loading: InvocationLoading, memory: MemoryWatch) -> None:
        self._link = link
        self._memory = memory
        self._loading = loading

    async def open(self, opening: Opening, *, now_ms: int) -> Opened:
        spec, command = opening.spec, opening.spec.command
        members = list(dict.fromkeys(opening.members))
        if not members:
            raise Refused(Kind.MISSING_INSTANCES, "an invocation needs at least one instance; name some")
        await self._memory.refuse_when_full()
        try:
            word, *earlier = await self._link.script(
                "open_invocation",
                keys_of_opening(opening, members),
                args_of_opening(opening, members, now_ms),
            )
        except StoreFull as error:
            raise self._memory.full() from error
        match word:
            case b"opened":
                return Opened(invoke_id=spec.id, command_id=command.id, repeated=False)
            case b"repeated":
                return _repeated(earlier)
            case b"reused":
                raise token_reused()
            case b"quota":
                raise Refused(
                    Kind.INVOCATION_QUOTA,
                    f"{opening.daily_quota} invocations were made on {opening.day} already; "
                    "wait for the next day, or raise the limit",
                )
            case b"command_quota":
                raise over_quota(opening.keep_with_quota)
            case _:
                raise not_found(command.id)

    async def done_by(self, token: str, request_hash: str, *, now_ms: int) -> Opened | None:
        names = ("request_hash", "invoke_id", "command_id", "until_ms")
        used, *earlier, until_ms = await self._link.call("HMGET", keys.token(token), *names)
        if used is None or int(until_ms) <= now_ms:
            return None
        if used.decode() != proof(token, request_hash):
            raise token_reused()
        return _repeated(earlier)

    async def get(self, invoke_id: InvokeId, *, round: int = 0) -> Invocation | None:
        return (await self._loading.load([RoundKey(invoke_id, round)]))[0]

    async def members(
        self, invoke_id: InvokeId, *, round: int = 0, start: int = 0, limit: int = CHUNK
    ) -> Sequence[InstanceId]:
        ids = await self._link.call("ZRANGE", keys.members(invoke_id, round), start, start + limit - 1)
        return [InstanceId(id_.decode()) for id_ in ids]

    async def candidates(
        self,
        invocation: Invocation,
        statuses: frozenset[RunStatus],
        *,
        start: int,
        skip: int,
        limit: int,
    ) -> Candidates:
        return await find_candidates(self._link, invocation, statuses, start=start, skip=skip, limit=limit)

    async def not_members(self, invoke_id: InvokeId, ids: Sequence[InstanceId]) -> Sequence[InstanceId]:
        if not ids:
            return []
        scores = await self._link.call("ZMSCORE", keys.members(invoke_id), *ids)
        return [id_ for id_, score in zip(ids, scores, strict=True) if score is None]

    async def page(
        self,
        wanted: InvocationFilter,
        *,
        limit: int,
        cursor: str = "",
        skip: int = 0,
        count: bool = False,
    ) -> Page[Invocation]:
        numbers = await find_page(self._link, wanted, limit=limit, cursor=cursor, skip=skip, count=count)
        found = await entries(self._link, keys.INVOCATIONS, numbers.items)
        known = [(n, entry) for n, entry in zip(numbers.items, found, strict=True) if entry]
        loaded = await self._loading.load([keys.round_of(entry) for _, entry in known]) if known else []
        items = [(n, item) for (n, _), item in zip(known, loaded, strict=True) if item is not None]
        return Page(
            items=[item for _, item in items],
            cursor=numbers.cursor,
            total=numbers.total,
            cursors=[str(n) for n, _ in items],
        )

    async def run_place(self, wanted: InvocationFilter, *, skip: int) -> RunPlace:
        return await find_run(self._link, wanted, skip=skip)

    async def reserve(
        self, invoke_id: InvokeId, *, round: int = 0, batch: int, window: int, low: int, now_ms: int
    ) -> Sequence[RunKey]:
        taken = await self._link.script(
            "reserve_batch",
            [
                keys.header(invoke_id, round),
                keys.unpublished(invoke_id, round),
                keys.unclaimed(invoke_id, round),
                keys.tally(invoke_id, round),
            ],
            [invoke_id, batch, window, low, now_ms, round],
        )
        return run_keys(taken)

    async def unclaimed(
        self, invoke_id: InvokeId, *, round: int = 0, older_than_ms: int, limit: int, now_ms: int
    ) -> Sequence[RunKey]:
        taken = await self._link.script(
            "take_from", [keys.unclaimed(invoke_id, round)], [f"({older_than_ms}", now_ms, limit]
        )
        return run_keys(taken)

    async def open_rounds(self, *, limit: int, after: int = 0) -> Sequence[RoundKey]:
        """`after`: how many of the oldest to pass over."""
        oldest = await self._link.call("ZRANGE", keys.OPEN, after, after + limit - 1)
        return [keys.round_of(entry) for entry in oldest]

    async def mark_stop(self, invoke_id: InvokeId, *, now_ms: int) -> bool:
        return bool(await self._link.script("mark_stop", [keys.header(invoke_id)], [now_ms]))

    async def stop_runs(
        self,
        invoke_id: InvokeId,
        ids: Sequence[InstanceId],
        *,
        round: int,
        now_ms: int,
        deadline_ms: int,
    ) -> Stopped:
        runs = _chunk(invoke_id, ids, round)
        per_run = [
            name
            for key in runs
            for name in (
                keys.run(key),
                keys.slots(key.instance_id),
                keys.waiting(key.instance_id),
                keys.adrift(key.instance_id),
            )
        ]
        cancelled, published, told, adrift, closed = await self._link.script(
            "stop_runs",
            [
                keys.header(invoke_id, round),
                keys.tally(invoke_id, round),
                keys.members(invoke_id, round),
                keys.unpublished(invoke_id, round),
                keys.unclaimed(invoke_id, round),
                keys.OPEN,
                keys.COMMANDS_IN_USE,
                keys.DUE,
                keys.DUE_INSTANCES,
                keys.DEADLINES,
                keys.STOPPING,
                keys.EVENTS,
                keys.OUTBOX,
                *per_run,
            ],
            [
                now_ms,
                deadline_ms,
                ORIGINS[RunStatus.CANCELLED],
                ORIGINS[RunStatus.STOPPING],
                keys.moves(invoke_id),
                keys.STOPS,
                *[word for key in runs for word in (key.run_id, key.instance_id)],
            ],
        )
        return Stopped(
            cancelled=run_keys(cancelled),
            published=run_keys(published),
            told=run_keys(told),
            adrift=run_keys(adrift),
            closed=bool(closed),
        )

    async def abort_unclaimed(
        self,
        invoke_id: InvokeId,
        ids: Sequence[InstanceId],
        *,
        round: int = 0,
        outcome: Outcome,
        now_ms: int,
    ) -> bool:
        runs = _chunk(invoke_id, ids, round)
        per_run = [
            name
            for key in runs
            for name in (keys.run(key), keys.slots(key.instance_id), keys.waiting(key.instance_id))
        ]
        closed = await self._link.script(
            "abort_unclaimed",
            [
                keys.header(invoke_id, round),
                keys.tally(invoke_id, round),
                keys.members(invoke_id, round),
                keys.unpublished(invoke_id, round),
                keys.unclaimed(invoke_id, round),
                keys.OPEN,
                keys.COMMANDS_IN_USE,
                keys.DUE,
                keys.STOPPING,
                keys.EVENTS,
                keys.OUTBOX,
                *per_run,
            ],
            [
                now_ms,
                ORIGINS[outcome.status],
                outcome.status,
                outcome.error_code,
                outcome.error_info,
                keys.moves(invoke_id),
                FAILURES,
                *[word for key in runs for word in (key.run_id, key.instance_id)],
            ],
        )
        return bool(closed)

    async def forget_older_than(
        self, before_ms: int, *, limit: int, kind: InvocationKind = InvocationKind.COMMAND
    ) -> int:
        """In steps: an invocation disappears at once, its runs after it. A crash between leaves its entry, so
        that the next call goes on."""
        forgotten, behind = 0, "-inf"
        until = f"{before_ms:015d}".encode()
        while forgotten < limit:
            scored = await self._link.call(
                "ZRANGE", keys.INVOCATIONS, behind, "+inf", "BYSCORE", "LIMIT", 0, CHUNK, "WITHSCORES"
            )
            numbers = [int(score) for score in scored[1::2]]
            old = [(entry, n) for entry, n in zip(scored[::2], numbers, strict=True) if entry < until]
            still_open = await self._are_needed([entry for entry, _ in old], before_ms)
            for (entry, number), is_open in zip(old, still_open, strict=True):
                if forgotten < limit and not is_open and kind_of(InvokeId(keys.id_of(entry))) is kind:
                    await forget_invocation(self._link, entry, number)
                    self._loading.forget(InvokeId(keys.id_of(entry)))
                    forgotten += 1
            if len(old) < CHUNK:  # they come in the order of opening, but for milliseconds
                break
            behind = f"({numbers[-1]}"
        return forgotten

    # -- inside

    async def _are_needed(self, some: Sequence[bytes], before_ms: int) -> Sequence[bool]:
        """Those that are open, and schedules that closed later than that."""
        if not some:
            return []
        replies = await self._link.batch(
            [
                ("ZMSCORE", keys.OPEN, *some),
                ("ZMSCORE", keys.SCHEDULES, *some),
                *[
                    ("HMGET", keys.header(InvokeId(keys.id_of(entry))), "round", "finish_ms")
                    for entry in some
                ],
            ]
        )
        return [
            open_ is not None or scheduled is not None or (round_ is not None and int(closed_ms) >= before_ms)
            for open_, scheduled, (round_, closed_ms) in zip(replies[0], replies[1], replies[2:], strict=True)
        ]


def run_keys(run_ids: Sequence[bytes]) -> Sequence[RunKey]:
    """Parsed."""
    return [RunKey.parse(run_id.decode()) for run_id in run_ids]


def _chunk(invoke_id: InvokeId, ids: Sequence[InstanceId], round_: int) -> Sequence[RunKey]:
    if len(ids) > CHUNK:
        raise ValueError(f"{len(ids)} runs in one step; give at most {CHUNK:,} at a time")
    return [RunKey(invoke_id, id_, round_) for id_ in ids]


def _repeated(earlier: Sequence[bytes]) -> Opened:
    invoke_id, command_id = (value.decode() for value in earlier)
    return Opened(invoke_id=InvokeId(invoke_id), command_id=CommandId(command_id), repeated=True)
