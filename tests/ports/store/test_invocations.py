"""Invocations: opening, quotas and tokens, the window, stopping, listing, forgetting."""

import asyncio

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.listing import InvocationFilter
from cloudassist_tasks.store import loading
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make
from tests.support.valkey import ValkeyServer

S = RunStatus


EVERYTHING = InvocationFilter()


async def test_an_invocation_is_readable_at_once_as_it_was_opened(store: RedisStore) -> None:
    command = make.command(bytes(range(256)), kept=False, tags={"ü": "ß"})
    spec = make.spec(command, parameters=Secret({"name": "väl\nue"}), username="root", timeout_s=77)

    await store.invocations.open(make.opening("i-2", "i-1", spec=spec), now_ms=1_000)

    invocation = await store.invocations.get(spec.id)
    assert invocation is not None
    assert invocation.spec == spec
    assert invocation.tally == {S.PENDING: 2}
    assert (invocation.total, invocation.published, invocation.batches) == (2, 0, 0)
    assert await store.invocations.members(spec.id) == ["i-2", "i-1"]
    assert await store.invocations.members(spec.id, start=1, limit=1) == ["i-1"]
    strangers = await store.invocations.not_members(spec.id, [InstanceId("i-1"), InstanceId("i-9")])
    assert strangers == ["i-9"]


async def test_one_is_found_while_so_many_others_are_read_that_its_spec_is_remembered_no_more(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "SPECS_KEPT", 1)
    one, *others = [make.spec() for _ in range(10)]
    for spec in (*others, one):
        await store.invocations.open(make.opening("i-1", spec=spec), now_ms=1_000)
    await store.invocations.get(one.id)

    found = await asyncio.gather(
        *[store.invocations.get(id_) for other in others for id_ in (other.id, one.id)]
    )

    assert [invocation for invocation in found if invocation is None] == []


async def test_the_same_token_opens_one_invocation_from_eight_clients(
    store: RedisStore, store_server: ValkeyServer
) -> None:
    clients = [await RedisStore.open(store_server.url()) for _ in range(8)]

    results = await asyncio.gather(
        *[
            client.invocations.open(make.opening("i-1", token="abc", request_hash="h"), now_ms=1_000)
            for client in clients
        ]
    )

    assert sorted(result.repeated for result in results) == [False] + 7 * [True]
    assert len({(result.invoke_id, result.command_id) for result in results}) == 1
    assert await store.invocations_on("2026-01-01") == 1
    for client in clients:
        await client.close()


async def test_a_token_for_another_request_is_refused_until_it_expires(store: RedisStore) -> None:
    await store.invocations.open(make.opening(token="abc", request_hash="h1", token_ttl_s=60), now_ms=1_000)
    other = make.opening(token="abc", request_hash="h2", token_ttl_s=60)

    with pytest.raises(Refused) as refused:
        await store.invocations.open(other, now_ms=60_999)
    opened = await store.invocations.open(other, now_ms=61_000)

    assert refused.value.kind == Kind.CLIENT_TOKEN_REUSED
    assert not opened.repeated


async def test_the_call_that_is_sent_again_opens_once(store: RedisStore) -> None:
    opening = make.opening("i-1")

    first = await store.invocations.open(opening, now_ms=1_000)
    second = await store.invocations.open(opening, now_ms=1_000)

    assert first == second
    assert await store.invocations_on(opening.day) == 1


async def test_the_day_s_quota_is_refused_in_the_same_step(store: RedisStore) -> None:
    results = await asyncio.gather(
        *[
            store.invocations.open(make.opening(daily_quota=5, day="2026-01-02"), now_ms=1_000)
            for _ in range(8)
        ],
        return_exceptions=True,
    )

    refused = [result for result in results if isinstance(result, Refused)]
    assert [each.kind for each in refused] == 3 * [Kind.INVOCATION_QUOTA]
    assert await store.invocations_on("2026-01-02") == 5
    await store.invocations.open(make.opening(daily_quota=5, day="2026-01-03"), now_ms=1_000)


async def test_a_kept_command_is_counted_and_cannot_be_removed_until_the_close(store: RedisStore) -> None:
    command = make.command()
    await store.commands.add(command, quota=100)
    [key] = await make.opened(store, "i-1", spec=make.spec(command))

    with pytest.raises(Refused) as refused:
        await store.commands.remove(command.id)
    await make.finish(store, await make.launched(store, key))
    used = await store.commands.get(command.id)
    await store.commands.remove(command.id)

    assert refused.value.kind == Kind.COMMAND_IN_USE
    assert used is not None
    assert used.invoke_times == 1
    with pytest.raises(Refused) as gone:
        await make.opened(store, "i-1", spec=make.spec(command))
    assert gone.value.kind == Kind.COMMAND_NOT_FOUND


async def test_a_command_is_kept_in_the_step_that_opens_or_nothing_is_done(store: RedisStore) -> None:
    first, second = make.spec(make.command(b"\x00one")), make.spec(make.command())

    await store.invocations.open(make.opening(spec=first, keep_with_quota=1), now_ms=1_000)
    with pytest.raises(Refused) as refused:
        await store.invocations.open(make.opening(spec=second, keep_with_quota=1), now_ms=1_000)

    kept = await store.commands.get(first.command.id)
    assert kept is not None
    assert (kept.content, kept.invoke_times) == (first.command.content, 1)
    assert refused.value.kind == Kind.COMMAND_QUOTA
    assert await store.invocations.get(second.id) is None
    assert await store.invocations_on("2026-01-01") == 1


async def test_the_window_is_filled_in_batches_and_never_exceeded(store: RedisStore) -> None:
    keys_ = await make.opened(store, *[f"i-{n:03}" for n in range(130)])
    invoke_id = keys_[0].invoke_id

    async def reserve() -> int:
        taken = await store.invocations.reserve(invoke_id, batch=50, window=100, low=75, now_ms=1_000)
        return len(taken)

    assert [await reserve() for _ in range(3)] == [50, 50, 0]
    for key in keys_[:26]:
        claim = await make.claim(store, key)
    assert (claim.unclaimed, claim.unpublished) == (74, 30)
    assert [await reserve() for _ in range(2)] == [26, 0]
    invocation = await store.invocations.get(invoke_id)
    assert invocation is not None
    assert (invocation.published, invocation.batches) == (126, 3)


async def test_nothing_is_reserved_after_a_stop_and_it_is_asked_for_once(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")

    marked = [await store.invocations.mark_stop(key.invoke_id, now_ms=2_000) for _ in range(2)]
    taken = await store.invocations.reserve(key.invoke_id, batch=50, window=200, low=150, now_ms=2_000)

    assert marked == [True, False]
    assert taken == []


async def test_a_lost_message_is_found_by_one_reconciler(store: RedisStore) -> None:
    [key, other] = await make.opened(store, "i-1", "i-2")
    await store.invocations.reserve(key.invoke_id, batch=50, window=200, low=150, now_ms=1_000)
    await make.claim(store, other)

    async def look(older_than_ms: int, now_ms: int) -> list[RunKey]:
        return list(
            await store.invocations.unclaimed(
                key.invoke_id, older_than_ms=older_than_ms, limit=10, now_ms=now_ms
            )
        )

    assert await look(1_000, 11_000) == []
    assert await look(1_001, 11_000) == [key]
    assert await look(1_001, 11_000) == []
    assert await look(11_001, 21_000) == [key]


async def test_a_stop_cancels_what_waits_tells_who_works_and_finds_what_drifts(store: RedisStore) -> None:
    keys_ = await make.opened(store, "i-never", "i-held", "i-adrift", "i-done", "i-queued")
    never, held, adrift, done, queued = keys_
    await make.running(store, held)
    drifting = await make.running(store, adrift)
    await store.runs.give_back(drifting, look_at_ms=99_000, adrift=True, now_ms=2_000)
    await make.finish(store, await make.launched(store, done))
    back = await make.held(store, queued)
    await store.runs.give_back(back, look_at_ms=99_000, adrift=False, now_ms=2_000)
    await store.workers.register(make.worker("w-1"), now_ms=2_000)

    stopped = await store.invocations.stop_runs(
        never.invoke_id, [key.instance_id for key in keys_], round=0, now_ms=5_000, deadline_ms=70_000
    )

    assert (stopped.cancelled, stopped.told, stopped.adrift) == ([never, queued], [held], [adrift])
    assert not stopped.closed
    assert await store.workers.beat(make.worker("w-1").id, now_ms=5_000) == [held]
    assert await store.runs.take_due(now_ms=5_000, lease_ms=1, limit=9) == ([], [adrift.instance_id])
    assert await store.runs.take_overdue(now_ms=69_999, lease_ms=1, limit=9) == []
    assert set(await store.runs.take_overdue(now_ms=70_000, lease_ms=1, limit=9)) == {held, adrift}
    invocation = await store.invocations.get(never.invoke_id)
    assert invocation is not None
    assert invocation.tally == {S.CANCELLED: 2, S.STOPPING: 2, S.SUCCESS: 1}


async def test_a_stop_that_is_asked_for_again_gives_no_run_more_time(store: RedisStore) -> None:
    """Reconcile repeats the stop of whatever is still open; a host that is gone must not keep it so."""
    [key] = await make.opened(store, "i-1")
    await make.running(store, key)

    for now_ms in range(5_000, 65_000, 3_000):
        await store.invocations.stop_runs(
            key.invoke_id, [key.instance_id], round=0, now_ms=now_ms, deadline_ms=now_ms + 65_000
        )

    assert await store.runs.take_overdue(now_ms=70_000, lease_ms=1, limit=9) == [key]


async def test_a_stop_of_ten_thousand_waiting_runs_closes_once(store: RedisStore) -> None:
    keys_ = await make.opened(store, *[f"i-{n:05}" for n in range(10_000)])
    invoke_id = keys_[0].invoke_id
    closes = 0

    for start in range(0, 10_000, 1_000):
        ids = [key.instance_id for key in keys_[start : start + 1_000]]
        for _ in range(2):
            stopped = await store.invocations.stop_runs(
                invoke_id, ids, round=0, now_ms=5_000, deadline_ms=9_000
            )
            closes += stopped.closed

    invocation = await store.invocations.get(invoke_id)
    assert invocation is not None
    assert (invocation.tally, invocation.finish_ms, closes) == ({S.CANCELLED: 10_000}, 5_000, 1)


async def test_runs_that_nobody_claims_are_aborted_and_the_rest_goes_on(store: RedisStore) -> None:
    [key, other] = await make.opened(store, "i-1", "i-2")
    held = await make.held(store, other)
    outcome = Outcome(status=S.ABORTED, error_code=ErrorCode.DELIVERY_TIMEOUT, error_info="no worker came")

    closed = await store.invocations.abort_unclaimed(
        key.invoke_id, [key.instance_id, other.instance_id], outcome=outcome, now_ms=5_000
    )

    run = await store.runs.get(key)
    assert not closed
    assert run is not None
    assert (run.status, run.error_code, run.error_info) == (S.ABORTED, "DeliveryTimeout", "no worker came")
    assert (await make.finish(store, held)).closed


async def test_a_page_goes_on_where_the_last_one_ended_whatever_comes_and_goes(store: RedisStore) -> None:
    specs = [make.spec(created_ms=1_000 + n // 3) for n in range(9)]  # three of each millisecond
    for spec in specs:
        await make.opened(store, "i-1", spec=spec)
    newest_first = specs[::-1]

    first = await store.invocations.page(EVERYTHING, limit=3, count=True)
    await make.opened(store, "i-1", spec=make.spec(created_ms=9_000))
    await store.invocations.stop_runs(specs[0].id, [InstanceId("i-1")], round=0, now_ms=1, deadline_ms=1)
    await store.invocations.forget_older_than(1_001, limit=99)
    second = await store.invocations.page(EVERYTHING, limit=3, cursor=first.cursor)
    third = await store.invocations.page(EVERYTHING, limit=3, cursor=second.cursor)

    seen = [item.spec.id for page in (first, second, third) for item in page.items]
    assert first.total == 9
    assert third.cursor == ""
    assert seen == [spec.id for spec in newest_first if spec is not specs[0]]


async def test_pages_by_command_and_by_instance(store: RedisStore) -> None:
    command = make.command(kept=False)
    [a] = await make.opened(store, "i-1", spec=make.spec(command))
    [b, _] = await make.opened(store, "i-1", "i-2", spec=make.spec(created_ms=2_000))

    of_command = await store.invocations.page(InvocationFilter(command_id=command.id), limit=9)
    of_instance = await store.invocations.page(InvocationFilter(instance_id=a.instance_id), limit=9)
    of_both = await store.invocations.page(
        InvocationFilter(command_id=command.id, instance_id=InstanceId("i-1")), limit=9
    )
    skipped = await store.invocations.page(EVERYTHING, limit=9, skip=1)

    assert [item.spec.id for item in of_command.items] == [a.invoke_id]
    assert [item.spec.id for item in of_instance.items] == [b.invoke_id, a.invoke_id]
    assert [item.spec.id for item in of_both.items] == [a.invoke_id]
    assert [item.spec.id for item in skipped.items] == [a.invoke_id]


async def test_a_cursor_that_is_none_of_ours_is_refused(store: RedisStore) -> None:
    with pytest.raises(Refused) as refused:
        await store.invocations.page(EVERYTHING, limit=9, cursor="[evil")

    assert refused.value.kind == Kind.BAD_NEXT_TOKEN


async def test_open_invocations_are_listed_oldest_first(store: RedisStore) -> None:
    ids = [
        (await make.opened(store, "i-1", spec=make.spec(created_ms=created_ms)))[0].invoke_id
        for created_ms in (3_000, 1_000, 2_000)
    ]

    first = await store.invocations.open_rounds(limit=2)
    rest = await store.invocations.open_rounds(limit=2, after=2)

    assert ([of.invoke_id for of in first], [of.invoke_id for of in rest]) == ([ids[1], ids[2]], [ids[0]])


async def test_what_is_closed_and_old_is_forgotten_without_a_trace(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1")])
    [key] = await make.opened(store, "i-1", spec=make.spec(created_ms=1_000))
    [open_] = await make.opened(store, "i-1", spec=make.spec(created_ms=1_000))
    await make.finish(store, await make.launched(store, key), output=b"x")

    forgotten = [await store.invocations.forget_older_than(5_000, limit=10) for _ in range(2)]

    assert forgotten == [1, 0]
    assert await store.invocations.get(key.invoke_id) is None
    assert await store.runs.get(key) is None
    assert await store.invocations.get(open_.invoke_id) is not None
    left = await store.link.call("KEYS", f"*{key.invoke_id}*")
    assert left == []
    page = await store.invocations.page(InvocationFilter(instance_id=key.instance_id), limit=9)
    assert [item.spec.id for item in page.items] == [open_.invoke_id]


async def test_an_invocation_of_nobody_is_refused(store: RedisStore) -> None:
    with pytest.raises(Refused) as refused:
        await store.invocations.open(make.opening("i-1", members=[]), now_ms=1_000)

    assert refused.value.kind == Kind.MISSING_INSTANCES
