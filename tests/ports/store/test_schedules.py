"""Rounds in the store: opened once, each a fan-out of its own, and what the whole is meanwhile."""

from dataclasses import replace

import pytest

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.events import OLDEST, EventKind
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.redis_store import RedisStore
from tests.ports.store.scheduling import fired, key, run_to, scheduled, standing, states, whole
from tests.support.store import make

S = RunStatus


async def test_a_schedule_waits_and_publishes_nothing(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")

    reserved = await store.invocations.reserve(id_, batch=50, window=200, low=150, now_ms=2_000)
    claim = await make.claim(store, key(id_, "i-1", 0))

    assert await states(store, id_) == {"i-1": "Scheduled", "i-2": "Scheduled"}
    assert (reserved, claim.word.value) == ([], "unknown")
    assert await store.schedules.due(now_ms=9_999, limit=10) == []
    assert await store.schedules.next_ms() == 10_000


async def test_a_round_is_carried_like_any_fan_out_and_the_whole_waits_again(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")

    [opened] = await fired(store, 10_000)
    assert opened is not None
    assert opened.reserved == [key(id_, "i-1", 1), key(id_, "i-2", 1)]
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Pending"}
    held = await make.running(store, key(id_, "i-1", 1), now_ms=11_000)
    assert await states(store, id_) == {"i-1": "Running", "i-2": "Pending"}
    await make.finish(store, held, Outcome(status=S.FAILED, exit_code=3), now_ms=12_000)
    await run_to(store, key(id_, "i-2", 1), S.SUCCESS, 13_000)

    round_ = await store.invocations.get(id_, round=1)
    [first, _] = await store.runs.of(await whole(store, id_), await store.invocations.members(id_))
    assert round_ is not None
    assert round_.tally == {S.FAILED: 1, S.SUCCESS: 1}
    assert round_.finish_ms
    assert await states(store, id_) == {"i-1": "Scheduled", "i-2": "Scheduled"}
    assert (first.exit_code, first.repeats, first.key.round) == (3, 1, 1)
    assert not (await whole(store, id_)).finish_ms


async def test_a_part_and_its_run_are_read_at_one_moment(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    await fired(store, 10_000)
    await make.running(store, key(id_, "i-1", 1))
    of_all, ids = await whole(store, id_), [InstanceId("i-1"), InstanceId("i-2")]
    before = store.link.round_trips

    runs = await store.runs.of(of_all, ids)
    statuses = await store.runs.statuses_of(of_all, ids)

    assert store.link.round_trips - before == 2
    assert [run.status for run in runs] == list(statuses) == [S.RUNNING, S.PENDING]


async def test_who_still_runs_is_left_out_and_recorded(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    await fired(store, 10_000)
    await make.running(store, key(id_, "i-1", 1))
    await run_to(store, key(id_, "i-2", 1), S.SUCCESS)

    [second] = await fired(store, 20_000)
    assert second is not None
    await make.claim(store, key(id_, "i-2", 2))
    [third] = await fired(store, 30_000)
    assert third is not None

    assert (second.reserved, second.skipped) == ([key(id_, "i-2", 2)], 1)
    assert (third.total, third.skipped) == (0, 2)
    assert await store.schedules.skipped(id_, 2, limit=9) == ["i-1"]
    assert await store.schedules.skipped(id_, 3, limit=9) == ["i-1", "i-2"]
    assert await states(store, id_) == {"i-1": "Running", "i-2": "Pending"}


async def test_the_last_time_closes_the_schedule_with_its_last_run(store: RedisStore) -> None:
    command = make.command()
    await store.commands.add(command, quota=9)
    id_ = await scheduled(store, "i-1", "i-2", command=command)
    [opened] = await fired(store, 10_000, last=True)
    assert opened is not None
    assert opened.ended
    await run_to(store, key(id_, "i-1", 1), S.SUCCESS)
    with pytest.raises(Refused) as in_use:
        await store.commands.remove(command.id)

    await run_to(store, key(id_, "i-2", 1), S.TIMEOUT)

    assert in_use.value.kind is Kind.COMMAND_IN_USE
    assert await states(store, id_) == {"i-1": "Success", "i-2": "Timeout"}
    assert (await whole(store, id_)).finish_ms
    assert await store.invocations.open_rounds(limit=9) == []
    assert await store.schedules.open_ids(limit=9) == []
    await store.commands.remove(command.id)


async def test_a_stop_cancels_what_never_ran_and_terminates_the_rest(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2", "i-3")
    await fired(store, 10_000)
    for member in ("i-1", "i-2", "i-3"):
        await run_to(store, key(id_, member, 1), S.SUCCESS)
    other = await scheduled(store, "i-1", due_ms=99_000)

    for one in (id_, other):
        assert await store.schedules.end(one, now_ms=30_000)
        assert not await store.schedules.end(one, now_ms=30_001)
        members = await store.invocations.members(one)
        assert (await store.schedules.end_parts(one, members, leave=False, now_ms=30_000)).closed

    assert set((await states(store, id_)).values()) == {"Terminated"}
    assert await states(store, other) == {"i-1": "Cancelled"}
    assert (await whole(store, id_)).stop_ms == 30_000
    assert await fired(store, 100_000) == []


async def test_one_that_leaves_takes_part_in_no_further_round(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2", "i-3")
    await fired(store, 10_000)
    await make.running(store, key(id_, "i-2", 1))

    ended = await store.schedules.end_parts(
        id_, [InstanceId("i-2"), InstanceId("i-9")], leave=True, now_ms=11_000
    )
    stopped = await store.invocations.stop_runs(
        id_, ended.busy[1], round=1, now_ms=11_000, deadline_ms=90_000
    )
    [told] = stopped.told
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Stopping", "i-3": "Pending"}
    claim = await make.claim(store, told, force=True)
    assert claim.held is not None
    await make.finish(store, claim.held, Outcome(status=S.TERMINATED))
    for member in ("i-1", "i-3"):
        await run_to(store, key(id_, member, 1), S.SUCCESS)
    [second] = await fired(store, 20_000)

    assert second is not None
    assert await store.schedules.staying(id_, await store.invocations.members(id_)) == ["i-1", "i-3"]
    assert [one.instance_id for one in second.reserved] == ["i-1", "i-3"]
    assert second.skipped == 0
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Terminated", "i-3": "Pending"}


async def test_when_all_have_left_it_closes(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")

    first = await store.schedules.end_parts(id_, [InstanceId("i-1")], leave=True, now_ms=2_000)
    second = await store.schedules.end_parts(id_, [InstanceId("i-2")], leave=True, now_ms=3_000)

    assert (first.closed, second.closed) == (False, True)
    assert await store.schedules.next_ms() is None
    assert await states(store, id_) == {"i-1": "Cancelled", "i-2": "Cancelled"}


async def test_what_is_changed_holds_from_the_next_round_on(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    await fired(store, 10_000)
    before = (await whole(store, id_)).spec
    changed = replace(before, command=make.command(b"echo new", kept=False), frequency="rate(20s)")

    done = [
        await store.schedules.modify(
            changed,
            version=1,
            added=[InstanceId("i-2")],
            next_ms=40_000,
            tick_ms=40_000,
            now_ms=11_000,
            overlooked=standing(20_000),
        )
        for _ in range(2)
    ]
    [second] = await fired(store, 40_000)

    assert done == [True, False]
    assert second is not None
    assert (second.total, second.skipped) == (1, 1)
    first_round = await store.invocations.get(id_, round=1)
    second_round = await store.invocations.get(id_, round=2)
    assert first_round is not None
    assert second_round is not None
    assert first_round.spec == before
    assert second_round.spec.command.content.reveal() == b"echo new"
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Pending"}


async def test_a_round_that_leaves_out_everybody_shows_what_it_would_have_run(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    await fired(store, 10_000)
    changed = replace((await whole(store, id_)).spec, command=make.command(b"echo new", kept=False))
    await store.schedules.modify(
        changed, version=1, added=[], next_ms=None, tick_ms=0, now_ms=11_000, overlooked=standing(None)
    )

    await fired(store, 20_000)

    empty = await store.invocations.get(id_, round=2)
    assert empty is not None
    assert (empty.total, empty.spec) == (0, changed)


async def test_old_rounds_go_and_the_newest_run_stays(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    for n in range(1, 6):
        await fired(store, 10_000 * n)
        await run_to(store, key(id_, "i-1", n), S.SUCCESS, 10_000 * n)
        if n == 1:
            await run_to(store, key(id_, "i-2", n), S.FAILED, 10_000)
            await store.schedules.end_parts(id_, [InstanceId("i-2")], leave=True, now_ms=10_500)

    dropped = await store.schedules.forget_rounds(id_, keep=2, before_ms=0)
    rounds = [one.round for one in await store.schedules.rounds(id_, limit=9)]
    aged = await store.schedules.forget_rounds(id_, keep=9, before_ms=45_000)

    assert (dropped, rounds, aged) == (3, [5, 4], 1)
    runs = await store.runs.of(await whole(store, id_), [InstanceId("i-1"), InstanceId("i-2")])
    assert [run.finish_ms > 0 for run in runs] == [True, True]
    assert await store.link.call("EXISTS", keys.run(key(id_, "i-1", 1))) == 0


async def test_a_run_that_outlived_its_round_goes_once_there_is_a_newer_one(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    for n in (1, 2):
        await fired(store, 10_000 * n)
        await run_to(store, key(id_, "i-1", n), S.SUCCESS, 10_000 * n)
        await store.schedules.forget_rounds(id_, keep=0, before_ms=0)

    runs = await store.link.call("KEYS", f"{keys.RUN}{id_}.*")

    assert runs == [keys.run(key(id_, "i-1", 2)).encode()]


async def test_nothing_is_left_of_a_schedule_that_is_forgotten(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    await fired(store, 10_000)
    for member in ("i-1", "i-2"):
        await run_to(store, key(id_, member, 1), S.SUCCESS)
    kept = await store.invocations.forget_older_than(99_999, limit=9)
    await store.schedules.end(id_, now_ms=30_000)
    await store.schedules.end_parts(id_, await store.invocations.members(id_), leave=False, now_ms=30_000)

    young = await store.invocations.forget_older_than(20_000, limit=9)
    forgotten = await store.invocations.forget_older_than(99_999, limit=9)

    assert (kept, young, forgotten) == (0, 0, 1)
    left = {name.decode() for name in await store.link.call("KEYS", "ca:*")}
    assert {name for name in left if id_ in name or name.startswith("ca:by:")} == set()


async def test_rounds_are_told_of_as_what_they_are(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", webhook="http://127.0.0.1:9/")
    await fired(store, 10_000, last=True)
    await run_to(store, key(id_, "i-1", 1), S.SUCCESS)

    events = (await store.events.after(OLDEST, limit=99)).events
    [delivery] = await store.outbox.take_due(now_ms=99_999, lease_ms=1, limit=9)

    assert [(one.kind.value, one.round) for one in events if one.kind is not EventKind.RUN] == [
        ("opened", 0),
        ("round_opened", 1),
        ("round_closed", 1),
        ("closed", 0),
    ]
    assert (delivery.round, delivery.id) == (1, f"cb-{id_}-1")


async def test_an_instance_in_a_schedule_is_in_use(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1"), make.instance("i-2")])
    id_ = await scheduled(store, "i-1", "i-2")

    with pytest.raises(Refused) as refused:
        await store.instances.remove(InstanceId("i-1"))
    await store.schedules.end_parts(id_, [InstanceId("i-1")], leave=True, now_ms=2_000)
    await store.instances.remove(InstanceId("i-1"))

    assert refused.value.kind is Kind.INSTANCE_IN_USE
