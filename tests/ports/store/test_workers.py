"""Workers: registration, beats, and what becomes of the runs of a dead one."""

from cloudassist_tasks.domain.ids import WorkerId
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.ports.runs import ClaimWord
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make

W1 = WorkerId("w-1")


async def test_a_worker_is_listed_with_what_it_holds(store: RedisStore) -> None:
    await store.workers.register(make.worker("w-1", pid=77, host="pasiphae"), now_ms=1_000)
    [key] = await make.opened(store, "i-1")
    await make.held(store, key, "w-1")
    await store.workers.beat(W1, now_ms=3_000)

    [info] = await store.workers.all()

    assert info == make.worker("w-1", pid=77, host="pasiphae", seen_ms=3_000, claims=1)


async def test_the_runs_of_a_dead_worker_are_due_and_its_epochs_are_over(store: RedisStore) -> None:
    queued, launched = await make.opened(store, "i-1", "i-2")
    await store.workers.register(make.worker("w-1"), now_ms=1_000)
    await make.held(store, queued)
    stale = await make.running(store, launched)

    alive = await store.workers.dead(before_ms=1_000)
    dead = await store.workers.dead(before_ms=11_000)
    taken = [await store.workers.bury(W1, before_ms=11_000, now_ms=11_000, limit=1) for _ in range(3)]

    assert (alive, dead) == ([], [W1])
    assert taken == [1, 1, 0]
    assert await store.workers.dead(before_ms=99_000) == []
    due = await store.runs.take_due(now_ms=11_000, lease_ms=1_000, limit=10)
    assert due == ([queued], [launched.instance_id])
    assert await store.runs.adrift(launched.instance_id) == [launched]
    run = await store.runs.get(queued)
    assert run is not None
    assert (run.phase, run.worker) == (Phase.QUEUED, None)
    assert (await make.finish(store, stale)).moved.stale


async def test_a_buried_worker_learns_it_and_claims_nothing_until_it_registers(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    await store.workers.register(make.worker("w-1"), now_ms=1_000)
    await store.workers.bury(W1, before_ms=11_000, now_ms=11_000)

    told = await store.workers.beat(W1, now_ms=12_000)
    before = await make.claim(store, key, "w-1")
    await store.workers.register(make.worker("w-1"), now_ms=12_000)
    after = await make.claim(store, key, "w-1")

    assert told is None
    assert (before.word, after.word) == (ClaimWord.TAKEN, ClaimWord.HELD)


async def test_a_worker_that_came_back_is_not_buried(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    await store.workers.register(make.worker("w-1"), now_ms=1_000)
    held = await make.running(store, key)
    await store.workers.beat(W1, now_ms=20_000)

    taken = await store.workers.bury(W1, before_ms=11_000, now_ms=21_000)

    assert taken == 0
    assert (await make.finish(store, held)).moved.done


async def test_a_worker_that_leaves_is_gone_but_not_the_runs_it_still_holds(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    await store.workers.register(make.worker("w-1"), now_ms=1_000)
    await store.workers.register(make.worker("w-2"), now_ms=1_000)
    await make.running(store, key, "w-2")

    await store.workers.leave(W1)
    await store.workers.leave(WorkerId("w-2"))

    assert await store.workers.dead(before_ms=2) == ["w-2"]
    assert await store.workers.bury(WorkerId("w-2"), before_ms=2, now_ms=5_000) == 1
    assert await store.link.call("EXISTS", keys.worker(W1), keys.claims(W1)) == 0


async def test_each_beat_names_the_runs_to_stop_until_they_have_ended(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    await store.workers.register(make.worker("w-1"), now_ms=1_000)
    held = await make.running(store, key)
    quiet = await store.workers.beat(W1, now_ms=2_000)
    await store.invocations.stop_runs(
        key.invoke_id, [key.instance_id], round=0, now_ms=3_000, deadline_ms=9_000
    )

    told = [await store.workers.beat(W1, now_ms=4_000) for _ in range(2)]
    await make.finish(store, held, Outcome(status=RunStatus.TERMINATED))
    done = await store.workers.beat(W1, now_ms=5_000)

    assert quiet == []
    assert told == [[key], [key]]
    assert done == []


async def test_a_stopped_run_of_a_worker_that_died_before_the_launch_is_cancelled(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    await make.held(store, key, "w-1")
    await store.invocations.stop_runs(
        key.invoke_id, [key.instance_id], round=0, now_ms=3_000, deadline_ms=9_000
    )
    await store.workers.bury(W1, before_ms=20_000, now_ms=20_000)

    claim = await make.claim(store, key, "w-2")

    assert claim.word == ClaimWord.CANCELLED
    assert claim.closed


async def test_a_turn_is_had_by_one(store: RedisStore) -> None:
    had = [await store.turn("sweep", for_ms=60_000) for _ in range(3)]

    assert had == [True, False, False]
    assert await store.turn("another", for_ms=60_000)
