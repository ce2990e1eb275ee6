"""Drop one closed invocation, with its runs, in steps that each leave the rest consistent."""

from collections.abc import Sequence

from cloudassist_tasks.domain.delivery import DeliveryKey, DeliveryKind
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.bits import CHUNK_BITS
from cloudassist_tasks.store.link import Command, Link
from cloudassist_tasks.store.spec_records import spec_from, with_tags

CHUNK = 1_000
"""How many runs are dropped in one round trip."""


async def forget_invocation(link: Link, entry: bytes, number: int) -> None:
    """First the header goes, and the marks: from then on nobody sees it. Last the entry: until then it can be
    repeated."""
    invoke_id = InvokeId(keys.id_of(entry))
    blob, (total, tags, versions, round_) = await link.batch(
        [("GET", keys.spec(invoke_id)), ("HMGET", keys.header(invoke_id), "total", "tags", "spec", "round")]
    )
    if round_ is not None:
        await _forget_schedule(link, invoke_id, number, int(versions or 0))
    if blob is not None:
        await link.script(
            "forget_invocation",
            [
                keys.header(invoke_id),
                keys.spec(invoke_id),
                keys.tally(invoke_id),
                *facets.of_invocation(with_tags(spec_from(blob), tags)),
                *facets.of_counts(int(total)),
            ],
            [number],
        )
    await link.batch([step for kind in DeliveryKind for step in _unsent(DeliveryKey(kind, invoke_id))])
    while ids := await link.call("ZRANGE", keys.members(invoke_id), 0, CHUNK - 1):
        runs = [RunKey(invoke_id, InstanceId(id_.decode())) for id_ in ids]
        await link.script(
            "unmark", await _marks_of_members(link, runs, scheduled=round_ is not None), [number]
        )
        await link.batch([("UNLINK", keys.run(run), keys.output(run)) for run in runs])
        await link.call("ZREM", keys.members(invoke_id), *ids)
    await link.call(
        "UNLINK",
        keys.unpublished(invoke_id),
        keys.unclaimed(invoke_id),
        *(named(invoke_id) for named in (keys.busy, keys.left, keys.latest, keys.counts)),
        *(named(invoke_id) for named in (keys.ended, keys.missed, keys.boots, keys.rounds, keys.outlived)),
        *[keys.members_in(invoke_id, status) for status in FINAL],
    )
    await link.call("ZREM", keys.INVOCATIONS, entry)
    await _forget_names(link, number // CHUNK_BITS)


async def forget_round(link: Link, key: RoundKey) -> None:
    """One closed round of a schedule. The newest run of an instance stays: it is shown in the whole; see
    `forget_outlived`."""
    invoke_id, round_ = key.invoke_id, key.round
    header = keys.header(invoke_id, round_)
    await link.batch(
        [step for kind in DeliveryKind for step in _unsent(DeliveryKey(kind, invoke_id, round_))]
    )
    while ids := await link.call("ZRANGE", keys.members(invoke_id, round_), 0, CHUNK - 1):
        latest = await link.call("ZMSCORE", keys.latest(invoke_id), *ids)
        old = [
            RunKey(invoke_id, InstanceId(id_.decode()), round_)
            for id_, last in zip(ids, latest, strict=True)
            if last is None or int(last) != round_
        ]
        newest = [
            id_ for id_, last in zip(ids, latest, strict=True) if last is not None and int(last) == round_
        ]
        stay = [("ZADD", keys.outlived(invoke_id), *(word for id_ in newest for word in (round_, id_)))]
        await link.batch(
            [
                *(stay if newest else []),
                *[("UNLINK", keys.run(run), keys.output(run)) for run in old],
                ("ZREM", keys.members(invoke_id, round_), *ids),
            ]
        )
    await link.call(
        "UNLINK",
        header,
        keys.tally(invoke_id, round_),
        keys.unpublished(invoke_id, round_),
        keys.unclaimed(invoke_id, round_),
        keys.skipped(invoke_id, round_),
    )
    await link.call("ZREM", keys.rounds(invoke_id), round_)


async def forget_outlived(link: Link, invoke_id: InvokeId) -> None:
    """Runs that stayed when their rounds were forgotten go, where the member has a newer one by now."""
    at = 0
    while flat := await link.call("ZRANGE", keys.outlived(invoke_id), at, at + CHUNK - 1, "WITHSCORES"):
        latest = await link.call("ZMSCORE", keys.latest(invoke_id), *flat[::2])
        old = [
            RunKey(invoke_id, InstanceId(id_.decode()), int(round_))
            for id_, round_, newest in zip(flat[::2], flat[1::2], latest, strict=True)
            if newest is None or int(newest) != int(round_)
        ]
        if old:
            await link.batch([("UNLINK", keys.run(run), keys.output(run)) for run in old])
            await link.call("ZREM", keys.outlived(invoke_id), *[run.instance_id for run in old])
        at += len(latest) - len(old)


async def _forget_schedule(link: Link, invoke_id: InvokeId, number: int, versions: int) -> None:
    """What a schedule has beside others: rounds, the newest runs, the specs that came later."""
    await forget_outlived(link, invoke_id)
    while numbers := await link.call("ZRANGE", keys.rounds(invoke_id), 0, CHUNK - 1):
        for round_ in numbers:
            await forget_round(link, RoundKey(invoke_id, int(round_)))
    while flat := await link.call("ZRANGE", keys.latest(invoke_id), 0, CHUNK - 1, "WITHSCORES"):
        newest = [
            RunKey(invoke_id, InstanceId(id_.decode()), int(score))
            for id_, score in zip(flat[::2], flat[1::2], strict=True)
        ]
        await link.batch([("UNLINK", keys.run(run), keys.output(run)) for run in newest])
        await link.call("ZREM", keys.latest(invoke_id), *flat[::2])
    for version in range(1, versions + 1):
        blob = await link.call("GET", keys.spec(invoke_id, version))
        if blob is not None:
            await link.script("unmark", [keys.marks("command", spec_from(blob).command.id)], [number])
            await link.call("UNLINK", keys.spec(invoke_id, version))
    await link.call("ZREM", keys.DUE_SCHEDULES, invoke_id)


async def _marks_of_members(link: Link, runs: Sequence[RunKey], *, scheduled: bool) -> Sequence[str]:
    statuses = await link.batch(
        [
            ("HGET", keys.ended(run.invoke_id), run.instance_id)
            if scheduled
            else ("HGET", keys.run(run), "status")
            for run in runs
        ]
    )
    return [
        mark
        for run, status in zip(runs, statuses, strict=True)
        for mark in (
            facets.of_instance(run.instance_id),
            facets.of_end(run.instance_id, RunStatus((status or b"Pending").decode())),
        )
    ]


def _unsent(key: DeliveryKey) -> tuple[Command, ...]:
    """Nobody can be told of what is forgotten."""
    return (
        ("ZREM", keys.OUTBOX, str(key)),
        ("ZREM", keys.DEAD_LETTERS, str(key)),
        ("UNLINK", keys.delivery(key)),
    )


async def _forget_names(link: Link, chunk: int) -> None:
    """Once nothing is left of the invocations whose names stand together, and none will come."""
    first, last = chunk * CHUNK_BITS, (chunk + 1) * CHUNK_BITS - 1
    left, newest = await link.batch([("ZCOUNT", keys.INVOCATIONS, first, last), ("GET", keys.LAST_NUMBER)])
    if not left and int(newest) > last:
        await link.call("UNLINK", keys.names(chunk))
