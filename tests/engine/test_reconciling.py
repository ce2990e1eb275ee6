"""What dies half-way is put right: nothing stays open (R1), nothing acknowledged is lost (R3)."""

import asyncio

import pytest

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.errors import Broken, ErrorCode
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.engine import execute as executing
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.collect import collect
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.lost_messages import DOUBTFUL_AT_ONCE
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import LetGo
from cloudassist_tasks.tasks.names import COLLECT
from tests.engine.deaths import boot_id_of, held_by_a_dead_worker, mended
from tests.support.eventually import eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids


async def test_a_lost_message_is_published_again(console: Console, home: Installation) -> None:
    worker = await console.worker()
    keys = await console.launch(home.marking(), "i-1", "i-2")
    assert home.lose_messages() == 2

    again = await mended(console, worker)
    for key in again:
        await execute(worker, key)

    assert sorted(again) == sorted(keys)
    assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 2}


async def test_a_full_store_is_rid_of_what_is_old_without_waiting_for_the_hour(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    (key,) = await console.launch("true")
    await execute(worker, key)
    await reconcile(worker)
    console.clock.ahead_ms = (console.plane.limits.retention_s + 1) * 1_000
    await reconcile(worker)
    kept = await console.plane.store.invocations.get(key.invoke_id)

    async def forgotten() -> bool:
        await reconcile(worker)
        return await console.plane.store.invocations.get(key.invoke_id) is None

    with home.full_store():
        await eventually_async(forgotten, within=20)

    assert kept is not None


async def test_messages_that_only_wait_are_not_doubled(console: Console, home: Installation) -> None:
    console.clock.stand_still()
    worker = await console.worker()
    await console.launch("true", "i-1", "i-2")

    await reconcile(worker)

    assert len(home.messages()) == 2


async def test_beside_messages_that_wait_a_lost_one_is_published_again_within_a_minute(
    home: Installation,
) -> None:
    """With what is shipped: a pass comes at most 3 s late."""
    async with home.console(CLOUDASSIST_LEASE_S="10", CLOUDASSIST_RECONCILE_S="3") as console:
        worker = await console.worker()
        (lost,) = await console.launch("true", "i-1")
        home.lose_messages()
        await console.launch("true", "i-2")

        console.clock.ahead_ms += 57_000
        await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
        await reconcile(worker)

        assert lost in [message.key for message in home.messages()]


async def test_so_is_one_that_was_published_late_in_the_life_of_its_invocation(home: Installation) -> None:
    async with home.console(CLOUDASSIST_LEASE_S="10", CLOUDASSIST_RECONCILE_S="3") as console:
        worker = await console.worker()
        first, lost = await console.launch("true", "i-1", "i-2", caps=Caps(max_concurrency=Share(1)))
        console.clock.ahead_ms += 3_000_000
        await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
        await execute(worker, first)
        home.lose_messages()
        await console.launch("true", "i-3")

        console.clock.ahead_ms += 57_000
        await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
        await reconcile(worker)

        assert lost in [message.key for message in home.messages()]


async def test_of_many_that_may_only_wait_few_are_sent_again_at_once(home: Installation) -> None:
    """Else a queue that stands still would grow and grow."""
    async with home.console(60, CLOUDASSIST_LEASE_S="10", CLOUDASSIST_RECONCILE_S="0.001") as console:
        worker = await console.worker()
        await console.launch("true", *ids(60))
        counts = []

        for s in (570, 300):  # the second pass comes before they have waited for half of their life
            console.clock.ahead_ms += 1_000 * s
            await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
            await reconcile(worker)
            counts.append(len(home.messages()))

        assert counts == [120, 120 + DOUBTFUL_AT_ONCE]


async def test_a_published_again_message_has_an_id_that_nobody_revoked(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    (key,) = await console.launch("true")
    [first] = home.messages()
    home.lose_messages()

    await mended(console, worker)

    [second] = home.messages()
    assert first.id == key.run_id
    assert second.id != first.id
    assert second.id.startswith(key.run_id)
    assert second.key == key


async def test_an_invocation_whose_publisher_died_is_published(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await console.worker()

    async def died(*_: object, **__: object) -> int:
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(publish, "refill", died)
        keys = await console.launch("true", *ids(3))
    assert home.messages() == []

    assert await mended(console, worker) == keys


async def test_fault_5_a_worker_that_dies_before_the_launching_commit_costs_nothing(
    console: Console, home: Installation
) -> None:
    """Fault 5: the store says Pending; a normal launch follows."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    home.lose_messages()
    stale = await held_by_a_dead_worker(console, key, launched=False)

    [again] = await mended(console, worker)
    await execute(worker, again)

    run = await console.run(key)
    assert (run.status, run.epoch) == (RunStatus.SUCCESS, stale.epoch + 1)
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_fault_6_a_worker_that_dies_between_commit_and_send_is_replaced(
    console: Console, home: Installation
) -> None:
    """Fault 6: the host knows nothing of it, on the same boot: it is launched, once."""
    worker = await console.worker()
    boot_id = await boot_id_of(console, worker, "i-1")
    (key,) = await console.launch(home.marking())
    home.lose_messages()
    await held_by_a_dead_worker(console, key, launched=True, boot_id=boot_id)

    assert await mended(console, worker) == []
    assert [message.task for message in home.messages()] == [COLLECT]
    await collect(worker, key.instance_id)
    [again] = await mended(console, worker)
    await execute(worker, again)

    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_fault_6_a_worker_that_dies_after_the_send_is_followed_on(
    console: Console, home: Installation
) -> None:
    """Fault 6: the host has it; nobody starts it again."""
    worker, gate = await console.worker(), home.directory / "followed-on"
    (key,) = await console.launch(home.marking(f"{until(gate)}; echo done"))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    for task in list(worker._tasks):
        task.cancel()  # it beats no more
    worker.carried[key].ask_let_go(LetGo.BURIED)  # the claim stays where it is, as with kill -9
    await going
    other = await console.worker()

    async def looked() -> bool:
        await reconcile(other)
        await collect(other, key.instance_id)
        return (await console.run(key)).status == RunStatus.SUCCESS

    gate.touch()
    await eventually_async(looked)
    assert await console.output(key) == b"done\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_fault_21_absent_on_another_boot_is_not_run_again(console: Console, home: Installation) -> None:
    """Fault 21: a power cut may have lost the record of a start; another boot id decides."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    home.lose_messages()
    await held_by_a_dead_worker(console, key, launched=True, boot_id="the-boot-before")

    await mended(console, worker)
    await collect(worker, key.instance_id)
    [again] = await mended(console, worker)
    await execute(worker, again)

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.ERROR, ErrorCode.INSTANCE_RESTARTED)
    assert home.marked(key.invoke_id) == {}


async def test_fault_43_a_run_id_is_never_given_twice(console: Console) -> None:
    """Fault 43: two planes with the same run id cannot be."""
    opened = {(await console.open("true")).invoke_id for _ in range(20)}

    assert len(opened) == 20


@pytest.mark.parametrize("running", [False, True])
async def test_a_stop_that_was_only_marked_is_carried_out(console: Console, running: bool) -> None:
    worker, mender = await console.worker(), await console.worker(lease_s=60)
    (key,) = await console.launch("sleep 300")
    going = asyncio.create_task(execute(worker, key) if running else asyncio.sleep(0))
    if running:
        await console.reaches(key, RunStatus.RUNNING)

    await console.plane.store.invocations.mark_stop(key.invoke_id, now_ms=console.clock.now_ms())
    await reconcile(mender)
    await going

    ended = RunStatus.TERMINATED if running else RunStatus.CANCELLED
    assert await console.closed(key.invoke_id) == {ended: 1}


async def test_what_nobody_claims_for_max_queue_is_aborted(home: Installation) -> None:
    async with home.console(CLOUDASSIST_LIMIT_MAX_QUEUE_S="50") as console:
        worker = await console.worker()
        (key,) = await console.launch("true")

        await mended(console, worker)

        run = await console.run(key)
        assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT)
        assert await console.closed(key.invoke_id) == {RunStatus.ABORTED: 1}


async def test_a_claim_of_a_run_that_faulted_is_given_back(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours is no end of the run."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    home.lose_messages()

    async def faulty(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(console.plane.store.runs, "commit_launching", faulty)
        with pytest.raises(ZeroDivisionError):
            await execute(worker, key)

    async def is_free() -> bool:
        return (await console.run(key)).worker is None

    await eventually_async(is_free)
    [again] = await mended(console, worker)
    await execute(worker, again)
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_claim_of_a_collect_that_faulted_is_given_back(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, gate = await console.worker(), home.directory / "collect-faulted"
    (key,) = await console.launch(home.marking(f"{until(gate)}; echo done"))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going

    async def away(*_: object, **__: object) -> None:
        raise Broken("the store went away")

    with monkeypatch.context() as patch:
        patch.setattr(console.plane.store.runs, "output", away)
        with pytest.raises(Broken):
            await collect(worker, key.instance_id)
    gate.touch()

    async def looked() -> bool:
        await collect(worker, key.instance_id)
        return (await console.run(key)).status == RunStatus.SUCCESS

    await eventually_async(looked)
    assert await console.output(key) == b"done\n"


async def test_what_is_due_is_published_only_while_a_worker_is_up(
    console: Console, home: Installation
) -> None:
    """Else the queue would grow for as long as none is."""
    (key,) = await console.launch("true")
    home.lose_messages()
    await held_by_a_dead_worker(console, key, launched=False)
    beat = await console.worker(kind="beat", lease_s=60)

    nobody_up = await mended(console, beat)
    worker = await console.worker()
    await reconcile(beat)

    assert nobody_up == []
    assert key in [message.key for message in home.messages()]
    await execute(worker, key)
    assert (await console.run(key)).status == RunStatus.SUCCESS


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ZeroDivisionError(), RunStatus.ERROR),
        (Broken("the store is away"), RunStatus.PENDING),
    ],
)
async def test_only_a_fault_that_does_not_pass_ends_a_run_after_its_last_try(
    console: Console, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: RunStatus
) -> None:
    worker = await console.worker()
    (key,) = await console.launch("true")
    monkeypatch.setattr(executing, "MOST_DELIVERIES", 1)

    async def faulty(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(console.plane.store.instances, "record_contact", faulty)
        with pytest.raises(type(fault)):
            await execute(worker, key)

    async def is_free() -> bool:
        return key not in worker.carried and (await console.run(key)).phase != Phase.CLAIMED

    if status == RunStatus.PENDING:
        await eventually_async(is_free)
    run = await console.reaches(key, status)
    assert run.error_code == (ErrorCode.EXECUTION_EXCEPTION if status == RunStatus.ERROR else "")
