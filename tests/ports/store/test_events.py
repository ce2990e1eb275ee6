"""Events: what has happened, from a cursor on; how long they are kept."""

import asyncio

import pytest

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.events import OLDEST, Event, EventKind
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make

S = RunStatus


async def test_each_move_of_a_run_is_told_once_and_in_order(store: RedisStore) -> None:
    before = await store.events.last()

    [key] = await make.opened(store, "i.with.dots")
    await make.finish(store, await make.running(store, key))

    happened = await store.events.after(before)
    assert [told(event) for event in happened.events] == [
        (EventKind.OPENED, None, None),
        (EventKind.RUN, "i.with.dots", S.RUNNING),
        (EventKind.RUN, "i.with.dots", S.SUCCESS),
        (EventKind.CLOSED, None, None),
    ]
    assert {event.invoke_id for event in happened.events} == {key.invoke_id}
    assert happened.cursor == happened.events[-1].cursor == await store.events.last()


async def test_stops_and_aborts_are_told_too(store: RedisStore) -> None:
    claimed, queued = await make.opened(store, "i-1", "i-2")
    await make.running(store, claimed)
    before = await store.events.last()

    ids = [claimed.instance_id, queued.instance_id]
    await store.invocations.stop_runs(claimed.invoke_id, ids, round=0, now_ms=5_000, deadline_ms=9_000)
    [other] = await make.opened(store, "i-3")
    outcome = Outcome(status=S.ABORTED)
    await store.invocations.abort_unclaimed(
        other.invoke_id, [other.instance_id], outcome=outcome, now_ms=6_000
    )

    happened = await store.events.after(before)
    assert [told(event) for event in happened.events] == [
        (EventKind.RUN, "i-1", S.STOPPING),
        (EventKind.RUN, "i-2", S.CANCELLED),
        (EventKind.OPENED, None, None),
        (EventKind.RUN, "i-3", S.ABORTED),
        (EventKind.CLOSED, None, None),
    ]


async def test_pages_join_without_a_gap(store: RedisStore) -> None:
    keys = await make.opened(store, *[f"i-{n}" for n in range(10)])
    for key in keys:
        await make.finish(store, await make.launched(store, key))

    seen: list[Event] = []
    cursor = OLDEST
    while (page := await store.events.after(cursor, limit=3)).cursor != cursor:
        seen += page.events
        cursor = page.cursor

    assert seen == (await store.events.after(OLDEST)).events
    assert len(seen) == 12


async def test_of_one_invocation_only_its_own_are_told_and_the_cursor_goes_on(store: RedisStore) -> None:
    [ours] = await make.opened(store, "i-1")
    await make.opened(store, "i-1")

    happened = await store.events.after(OLDEST, invoke_id=ours.invoke_id)
    rest = await store.events.after(happened.cursor, invoke_id=ours.invoke_id)

    assert [event.invoke_id for event in happened.events] == [ours.invoke_id]
    assert happened.cursor == await store.events.last()
    assert (list(rest.events), rest.cursor) == ([], happened.cursor)


async def test_who_waits_hears_at_once(store: RedisStore) -> None:
    cursor = await store.events.last()
    waiting = [asyncio.create_task(store.events.wait(cursor, within_s=30)) for _ in range(5)]
    await asyncio.sleep(0)

    [key] = await make.opened(store, "i-1")

    async with asyncio.timeout(60):
        for happened in await asyncio.gather(*waiting):
            assert [event.invoke_id for event in happened.events] == [key.invoke_id]


async def test_a_wait_in_which_nothing_happens_ends_empty(store: RedisStore) -> None:
    cursor = await store.events.last()

    happened = await store.events.wait(cursor, within_s=0.05)

    assert (list(happened.events), happened.cursor) == ([], cursor)


async def test_who_missed_events_is_told_so_and_who_missed_none_goes_on(store: RedisStore) -> None:
    await make.opened(store, "i-1")
    early = (await store.events.after(OLDEST)).cursor
    for _ in range(4):
        await make.opened(store, "i-1")
    late = await store.events.last()

    dropped = await store.events.trim(before_ms=0, at_most=2)

    assert dropped == 3
    with pytest.raises(Refused) as refusal:
        await store.events.after(early)
    assert refusal.value.kind is Kind.EVENTS_EXPIRED
    with pytest.raises(Refused):
        await store.events.wait(early, within_s=5)
    assert not (await store.events.after(late)).events
    assert len((await store.events.after(OLDEST)).events) == 2


async def test_a_quiet_day_expires_no_cursor(store: RedisStore) -> None:
    await make.opened(store, "i-1")
    newest = await store.events.last()
    a_day_later_ms = store.clock.now_ms() + 86_400_000

    dropped = await store.events.trim(before_ms=a_day_later_ms, at_most=1_000)

    assert dropped == 1
    assert await store.events.last() == newest
    assert not (await store.events.after(newest)).events
    await make.opened(store, "i-1")
    assert len((await store.events.after(newest)).events) == 1


async def test_many_are_dropped_in_steps(store: RedisStore) -> None:
    for n in range(2_500):
        await store.link.call("XADD", "ca:events", "*", "opened", f"t-{n}")

    dropped = await store.events.trim(before_ms=0, at_most=100)

    assert dropped == 2_400
    kept = (await store.events.after(OLDEST)).events
    assert [kept[0].invoke_id, kept[-1].invoke_id] == [InvokeId("t-2400"), InvokeId("t-2499")]


@pytest.mark.parametrize("cursor", ["", "$", "1", "1-", "x-1", "1-1-1", f"{10**30}-0"])
async def test_a_cursor_that_is_none_is_refused(store: RedisStore, cursor: str) -> None:
    with pytest.raises(Refused) as refusal:
        await store.events.after(cursor)

    assert refusal.value.kind is Kind.BAD_CURSOR


def told(event: Event) -> tuple[EventKind, str | None, RunStatus | None]:
    return event.kind, event.instance_id, event.status
