"""Which schedules are due, and that each of their times comes once."""

import asyncio
from dataclasses import replace

import pytest

from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.invocation import Repetition
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.schedules import Overlooked
from cloudassist_tasks.store import due_schedules
from cloudassist_tasks.store.redis_store import RedisStore
from tests.ports.store.scheduling import at_twenty, fired, scheduled, standing, whole

S = RunStatus


async def test_of_many_beats_one_fires(store: RedisStore) -> None:
    id_ = await scheduled(store)
    found = [(await store.schedules.due(now_ms=10_000, limit=9))[0] for _ in range(5)]

    opened = await asyncio.gather(
        *(store.schedules.fire([at_twenty(due)], batch=50, now_ms=10_000 + n) for n, due in enumerate(found))
    )

    assert len([one for [one] in opened if one is not None]) == 1
    assert await store.schedules.round_count(id_) == 1
    assert await store.schedules.next_of([id_]) == [20_000]


async def test_what_was_missed_is_recorded_and_nothing_is_run(store: RedisStore) -> None:
    id_ = await scheduled(store)
    more = {"missed": 3, "missed_from_ms": 10_000, "missed_to_ms": 30_000}

    [opened] = await fired(store, 45_000, next_ms=50_000, why=None, more=more)

    assert opened is not None
    assert opened.number == 0
    [missed] = await store.schedules.missed(id_)
    assert (missed.count, missed.first_ms, missed.last_ms, missed.done) == (3, 10_000, 30_000, "skip")
    repetition = (await whole(store, id_)).repetition
    assert repetition is not None
    assert (repetition.missed, repetition.rounds, repetition.tick_ms) == (3, 0, 50_000)


async def test_an_only_time_that_was_missed_ends_it(store: RedisStore) -> None:
    id_ = await scheduled(store)
    more = {"missed": 1, "missed_from_ms": 10_000, "missed_to_ms": 10_000}

    [opened] = await fired(store, 99_000, why=None, last=True, more=more)
    assert opened is not None
    assert opened.ended
    await store.schedules.end_parts(id_, [InstanceId("i-1")], leave=False, now_ms=99_000)

    [run] = await store.runs.of(await whole(store, id_), [InstanceId("i-1")])
    assert (run.status, run.error_code) == (S.ABORTED, "CronExpressionExpired")
    assert (await whole(store, id_)).finish_ms


async def test_what_is_foreseen_is_what_is_due(store: RedisStore) -> None:
    ids = [
        await scheduled(store),
        await scheduled(store, due_ms=11_000),
        await scheduled(store, due_ms=30_000),
    ]
    read = await store.schedules.due(now_ms=11_000, limit=9)

    await store.schedules.foresee(until_ms=10_500)
    await store.schedules.foresee(until_ms=20_000)
    before = store.link.round_trips
    foreseen = await store.schedules.due(now_ms=11_000, limit=9)

    assert foreseen == read
    assert [due.invoke_id for due in foreseen] == ids[:2]
    assert store.link.round_trips == before + 1


async def test_one_stays_due_when_so_many_are_known_that_they_are_learned_anew(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_schedules, "TIMINGS_KEPT", 0)
    known = await scheduled(store, "i-1", due_ms=10_000)
    await store.schedules.due(now_ms=10_000, limit=10)
    new = await scheduled(store, "i-2", due_ms=11_000)

    both = await store.schedules.due(now_ms=11_000, limit=10)

    assert [due.invoke_id for due in both] == [known, new]
    assert await store.schedules.next_ms() == 10_000


async def test_a_schedule_that_was_changed_is_looked_at_again(store: RedisStore) -> None:
    id_ = await scheduled(store)
    await store.schedules.foresee(until_ms=20_000)
    [found] = await store.schedules.due(now_ms=10_000, limit=9)
    spec = replace((await whole(store, id_)).spec, frequency="rate(7s)")
    assert await store.schedules.modify(
        spec, version=1, added=[], next_ms=None, tick_ms=0, now_ms=9_000, overlooked=standing()
    )

    assert await store.schedules.still_due([found]) == [found]
    assert await store.schedules.fire([at_twenty(found)], batch=50, now_ms=10_000) == [None]

    [again] = await store.schedules.due(now_ms=10_000, limit=9)
    assert (again.version, again.timing.frequency) == (found.version + 1, "rate(7s)")
    assert await store.schedules.fire([at_twenty(again)], batch=50, now_ms=10_000) != [None]
    assert await store.schedules.still_due([again]) == []


async def test_many_are_fired_in_one_step_of_the_wire(store: RedisStore) -> None:
    ids = [await scheduled(store, f"i-{n}") for n in range(20)]
    found = await store.schedules.due(now_ms=10_000, limit=99)
    await store.link.call("SCRIPT", "FLUSH")
    before = store.link.round_trips

    opened = await store.schedules.fire([at_twenty(one) for one in found], batch=50, now_ms=10_000)

    assert [one.reserved for one in opened if one] == [
        [RunKey(one.invoke_id, InstanceId(f"i-{ids.index(one.invoke_id)}"), 1)] for one in found
    ]
    assert store.link.round_trips == before + 2, "it had to be loaded"


async def test_a_pause_keeps_rounds_from_being_opened(store: RedisStore) -> None:
    id_ = await scheduled(store)
    [found] = await store.schedules.due(now_ms=10_000, limit=9)

    assert await store.schedules.pause(id_, standing(), now_ms=9_999)
    assert not await store.schedules.pause(id_, standing(), now_ms=9_999)
    [late] = await store.schedules.fire([at_twenty(found)], batch=50, now_ms=10_000)
    nothing = await fired(store, 50_000)
    assert await store.schedules.resume(id_, Repetition(), next_ms=60_000, tick_ms=60_000, now_ms=51_000)
    [opened] = await fired(store, 60_000)

    assert (late, nothing) == (None, [])
    assert opened is not None
    assert opened.number == 1


async def test_what_was_missed_until_a_pause_is_recorded_by_the_same_step(store: RedisStore) -> None:
    id_ = await scheduled(store)

    assert await store.schedules.pause(id_, standing(missed=3), now_ms=45_000)

    [missed] = await store.schedules.missed(id_)
    assert (missed.count, missed.first_ms, missed.last_ms, missed.seen_ms) == (3, 10_000, 30_000, 45_000)
    assert missed.done == "paused"
    repetition = (await whole(store, id_)).repetition
    assert repetition is not None
    assert (repetition.missed, repetition.settled_ms, repetition.paused) == (3, 30_000, True)


@pytest.mark.parametrize(
    "seen", [Repetition(version=1), Repetition(settled_ms=10_000)], ids=["spec", "fired"]
)
async def test_it_goes_on_only_as_it_was_found(store: RedisStore, seen: Repetition) -> None:
    id_ = await scheduled(store)
    assert await store.schedules.pause(id_, standing(), now_ms=9_999)

    resumed = await store.schedules.resume(id_, seen, next_ms=60_000, tick_ms=60_000, now_ms=51_000)

    assert not resumed
    assert await store.schedules.next_of([id_]) == [None]


@pytest.mark.parametrize(
    "found",
    [standing(), standing(20_000, missed=1), standing(None)],
    ids=["uncounted", "elsewhere", "nowhere"],
)
async def test_no_time_that_has_come_is_taken_away_unless_it_is_accounted_for(
    store: RedisStore, found: Overlooked
) -> None:
    id_ = await scheduled(store)
    spec = replace((await whole(store, id_)).spec, frequency="rate(7s)")

    paused = await store.schedules.pause(id_, found, now_ms=10_000)
    changed = await store.schedules.modify(
        spec, version=1, added=[], next_ms=14_000, tick_ms=14_000, now_ms=10_000, overlooked=found
    )

    assert (paused, changed) == (False, False)
    assert await store.schedules.missed(id_) == []
    assert await store.schedules.next_of([id_]) == [10_000]
    assert (await whole(store, id_)).spec.frequency == "rate(10s)"


async def test_a_change_of_a_schedule_that_is_paused_looks_for_no_time(store: RedisStore) -> None:
    id_ = await scheduled(store)
    assert await store.schedules.pause(id_, standing(), now_ms=9_999)
    spec = replace((await whole(store, id_)).spec, frequency="rate(7s)")

    assert await store.schedules.modify(
        spec, version=1, added=[], next_ms=63_000, tick_ms=63_000, now_ms=60_000, overlooked=standing(None)
    )

    assert await store.schedules.next_of([id_]) == [None]
    assert await store.schedules.missed(id_) == []
