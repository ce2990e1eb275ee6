"""What dies half-way is put right: nothing stays open (R1), nothing acknowledged is lost (R3)."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.errors import Broken, ErrorCode, Unreachable
from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.engine import execute as executing
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine import reconcile as reconciling
from cloudassist_tasks.engine.collect import collect
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.lost_messages import DOUBTFUL_AT_ONCE
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import LetGo, Worker
from cloudassist_tasks.ports.store import Held, WorkerInfo
from cloudassist_tasks.tasks.app import create_app
from cloudassist_tasks.tasks.dispatch import CeleryDispatch
from cloudassist_tasks.tasks.names import COLLECT, RUN
from cloudassist_tasks.tasks.publishing import CeleryPublisher
from tests.engine.silence import silent_port
from tests.support.eventually import eventually, eventually_async
from tests.support.plane import Console, Installation, ids


async def _mended(console: Console, worker: Worker) -> list[RunKey]:
    """A pass after so long that whatever was handed out is handed out again; the runs that it published."""
    console.clock.ahead_ms += 100_000
    await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
    await reconcile(worker)
    return [message.key for message in console.home.messages() if message.task == RUN]


async def _held_by_a_dead_worker(console: Console, key: RunKey, *, launched: bool, boot_id: str = "") -> Held:
    """As a process leaves it that dies after its claim, or after the Launching commit."""
    store, now_ms = console.plane.store, console.clock.now_ms()
    name = WorkerId(f"dead-{console.plane.new_id('')}")
    info = WorkerInfo(id=name, host="test", pid=1, kind="worker", started_ms=now_ms)
    await store.workers.register(info, now_ms=now_ms)
    claim = await store.runs.claim(key, worker=name, now_ms=now_ms, at_once=10, may_wait=50)
    assert claim.held is not None
    if launched:
        moved = await store.runs.commit_launching(
            claim.held, boot_id=boot_id, deadline_ms=now_ms + 600_000, now_ms=now_ms
        )
        assert moved.done
    return claim.held


async def _boot_id(console: Console, worker: Worker, instance: str) -> str:
    """As the host tells it."""
    (key,) = await console.launch("true", instance)
    await execute(worker, key)
    return (await console.run(key)).boot_id


async def test_a_lost_message_is_published_again(console: Console, home: Installation) -> None:
    worker = await console.worker()
    keys = await console.launch(home.marking(), "i-1", "i-2")
    assert home.lose_messages() == 2

    again = await _mended(console, worker)
    for key in again:
        await execute(worker, key)

    assert sorted(again) == sorted(keys)
    assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 2}


async def test_messages_that_only_wait_are_not_doubled(console: Console, home: Installation) -> None:
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

        for s in (57, 55):  # the second pass comes before they have waited for half of their life
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

    await _mended(console, worker)

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

    assert await _mended(console, worker) == keys


async def test_fault_5_a_worker_that_dies_before_the_launching_commit_costs_nothing(
    console: Console, home: Installation
) -> None:
    """Fault 5: the store says Pending; a normal launch follows."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    home.lose_messages()
    stale = await _held_by_a_dead_worker(console, key, launched=False)

    [again] = await _mended(console, worker)
    await execute(worker, again)

    run = await console.run(key)
    assert (run.status, run.epoch) == (RunStatus.SUCCESS, stale.epoch + 1)
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_fault_6_a_worker_that_dies_between_commit_and_send_is_replaced(
    console: Console, home: Installation
) -> None:
    """Fault 6: the host knows nothing of it, on the same boot: it is launched, once."""
    worker = await console.worker()
    boot_id = await _boot_id(console, worker, "i-1")
    (key,) = await console.launch(home.marking())
    home.lose_messages()
    await _held_by_a_dead_worker(console, key, launched=True, boot_id=boot_id)

    assert await _mended(console, worker) == []
    assert [message.task for message in home.messages()] == [COLLECT]
    await collect(worker, key.instance_id)
    [again] = await _mended(console, worker)
    await execute(worker, again)

    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_fault_6_a_worker_that_dies_after_the_send_is_followed_on(
    console: Console, home: Installation
) -> None:
    """Fault 6: the host has it; nobody starts it again."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking("sleep 1; echo done"))
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

    await eventually_async(looked, within=15)
    assert await console.output(key) == b"done\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_fault_21_absent_on_another_boot_is_not_run_again(console: Console, home: Installation) -> None:
    """Fault 21: a power cut may have lost the record of a start; another boot id decides."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    home.lose_messages()
    await _held_by_a_dead_worker(console, key, launched=True, boot_id="the-boot-before")

    await _mended(console, worker)
    await collect(worker, key.instance_id)
    [again] = await _mended(console, worker)
    await execute(worker, again)

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.ERROR, ErrorCode.INSTANCE_RESTARTED)
    assert home.marked(key.invoke_id) == {}


async def test_fault_43_a_run_id_is_never_given_twice(console: Console) -> None:
    """Fault 43: two planes with the same run id cannot be."""
    opened = {(await console.open("true")).invoke_id for _ in range(20)}

    assert len(opened) == 20


async def test_an_overdue_run_ends_as_its_host_says(console: Console, home: Installation) -> None:
    worker = await console.worker()
    (key,) = await console.launch("sleep 300", timeout_s=1)
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going

    await _mended(console, worker)

    run = await console.reaches(key, RunStatus.TIMEOUT)
    assert run.finish_ms == run.start_ms + 1_000
    assert await console.closed(key.invoke_id) == {RunStatus.TIMEOUT: 1}


@pytest.mark.parametrize(
    "hiccup",
    [
        pytest.param(Unreachable(ErrorCode.CLIENT_NOT_RESPONSE, "-", retry_helps=True), id="of its sshd"),
        pytest.param(Broken("-"), id="of the store"),
    ],
)
async def test_an_overdue_run_is_not_given_up_for_one_hiccup(
    console: Console, monkeypatch: pytest.MonkeyPatch, hiccup: Exception
) -> None:
    """Found by simulation: sshd drops connections at random while many come at once (MaxStartups)."""
    worker = await console.worker()
    (key,) = await console.launch("sleep 300", timeout_s=30)
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    drops = [hiccup]

    def dropping(*args: Any) -> Any:
        if drops:
            raise drops.pop()
        return reached(*args)

    monkeypatch.setattr(reconciling, "reached", dropping)
    await _mended(console, worker)

    assert (await console.reaches(key, RunStatus.TIMEOUT)).error_code == ErrorCode.EXECUTION_TIMEOUT
    assert drops == []


async def test_an_overdue_run_that_never_started_is_aborted_and_never_will(
    console: Console, home: Installation
) -> None:
    """Its worker died between the Launching commit and the script. Nobody has asked for a stop."""
    worker = await console.worker()
    boot_id = await _boot_id(console, worker, "i-1")
    (key,) = await console.launch(home.marking())
    await _held_by_a_dead_worker(console, key, launched=True, boot_id=boot_id)

    console.clock.ahead_ms += 700_000
    await _mended(console, worker)
    run = await console.reaches(key, RunStatus.ABORTED, RunStatus.CANCELLED, RunStatus.ERROR)
    await execute(worker, key)

    assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT)
    assert home.marked(key.invoke_id) == {}
    assert await console.closed(key.invoke_id) == {RunStatus.ABORTED: 1}


async def test_an_overdue_run_that_had_ended_keeps_what_it_printed_unseen(
    console: Console, home: Installation
) -> None:
    """Nobody looked at it between its last line and its deadline."""
    worker, gate = await console.worker(), home.directory / "unseen"
    (key,) = await console.launch(f"echo begun; while [ ! -e {gate} ]; do sleep 0.1; done; echo done")
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    gate.touch()
    await asyncio.to_thread(eventually, lambda: not home.processes_of(key.invoke_id, "i-1"), within=20)

    console.clock.ahead_ms += 100_000
    await _mended(console, worker)

    run = await console.reaches(key, RunStatus.SUCCESS)
    assert await console.output(key) == b"begun\ndone\n"
    assert run.dropped == 0


async def test_an_overdue_run_of_a_silent_host_ends_interrupted_and_is_fenced_later(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1, and fault 41 for a run that nobody stopped."""
    monkeypatch.setattr(reconciling, "FENCE_WITHIN_S", 1)
    worker = await console.worker()
    (key,) = await console.launch(home.marking("sleep 300"))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    with silent_port() as port:
        await console.register_one("i-1", port=port)
        console.clock.ahead_ms += 100_000
        await _mended(console, worker)
        run = await console.reaches(key, RunStatus.ERROR)
    still_there = home.processes_of(key.invoke_id, "i-1")
    await console.register(3)

    async def fenced() -> str:
        await _mended(console, worker)
        return (await console.run(key)).late_result

    await eventually_async(fenced, within=15, every=0.5)
    assert run.error_code == ErrorCode.EXECUTION_INTERRUPTED
    assert still_there != []
    assert home.processes_of(key.invoke_id, "i-1") == []
    assert (await console.run(key)).status == RunStatus.ERROR


@pytest.mark.parametrize("running", [False, True])
async def test_a_stop_that_was_only_marked_is_carried_out(console: Console, running: bool) -> None:
    worker, mender = await console.worker(), await console.worker()
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

        await _mended(console, worker)

        run = await console.run(key)
        assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT)
        assert await console.closed(key.invoke_id) == {RunStatus.ABORTED: 1}


async def test_a_broker_that_is_away_keeps_no_overdue_run_open(home: Installation) -> None:
    away = f"redis+socket://{home.directory}/nobody.sock?virtual_host=1"
    async with home.console() as console:
        worker = await console.worker()
        (key,) = await console.launch("sleep 300", timeout_s=1)
        (lost,) = await console.launch("true", "i-2")
        await _held_by_a_dead_worker(console, lost, launched=False)
        going = asyncio.create_task(execute(worker, key))
        await console.reaches(key, RunStatus.RUNNING)
        worker.carried[key].ask_let_go(LetGo.LONG)
        await going
        nobody = CeleryDispatch(lambda: CeleryPublisher(create_app(home.settings(), away)), "default")
        worker.plane = replace(worker.plane, dispatch=nobody)

        await _mended(console, worker)

        await console.reaches(key, RunStatus.TIMEOUT)
        assert (await console.run(lost)).phase == Phase.QUEUED


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
    [again] = await _mended(console, worker)
    await execute(worker, again)
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_claim_of_a_collect_that_faulted_is_given_back(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await console.worker()
    (key,) = await console.launch(home.marking("sleep 1; echo done"))
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

    async def looked() -> bool:
        await collect(worker, key.instance_id)
        return (await console.run(key)).status == RunStatus.SUCCESS

    await eventually_async(looked, within=15)
    assert await console.output(key) == b"done\n"


async def test_what_is_due_is_published_only_while_a_worker_is_up(
    console: Console, home: Installation
) -> None:
    """Else the queue would grow for as long as none is."""
    (key,) = await console.launch("true")
    home.lose_messages()
    await _held_by_a_dead_worker(console, key, launched=False)
    beat = await console.worker(kind="beat")

    nobody_up = await _mended(console, beat)
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
