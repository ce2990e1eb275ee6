"""A run past its time ends, whatever its host says (R1)."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.errors import Broken, ErrorCode, Unreachable
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.invocation import InvocationSpec, Run
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.engine import overdue
from cloudassist_tasks.engine.collect import collect
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import LetGo, Worker
from cloudassist_tasks.tasks.app import create_app
from cloudassist_tasks.tasks.dispatch import CeleryDispatch
from cloudassist_tasks.tasks.publishing import CeleryPublisher
from cloudassist_tasks.transports.remote.host import RemoteHost
from tests.engine.deaths import boot_id_of, held_by_a_dead_worker, mended
from tests.engine.silence import silent_port
from tests.engine.sleeping import falling_asleep
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation


async def test_an_overdue_run_ends_as_its_host_says(console: Console, home: Installation) -> None:
    worker = await console.worker()
    (key,) = await console.launch("sleep 300", timeout_s=30)
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going

    await mended(console, worker)

    run = await console.reaches(key, RunStatus.TIMEOUT)
    assert run.finish_ms == run.start_ms + 30_000
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

    monkeypatch.setattr(overdue, "reached", dropping)
    await mended(console, worker)

    assert (await console.reaches(key, RunStatus.TIMEOUT)).error_code == ErrorCode.EXECUTION_TIMEOUT
    assert drops == []


@pytest.mark.parametrize("silent_for", [1, 3])
async def test_a_host_is_not_given_up_for_a_store_that_was_silent(
    console: Console, monkeypatch: pytest.MonkeyPatch, silent_for: int
) -> None:
    """Found by simulation: it was called unreached, and nobody had asked it."""
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 5)
    monkeypatch.setattr(overdue, "FENCE_LEAST_S", 5)
    monkeypatch.setattr(overdue, "PAUSE_S", 2)
    worker = await console.worker(lease_s=60)
    run = await let_go(console, worker, "sleep 300", timeout_s=30)
    silences, spec = iter(range(silent_for)), Worker.spec

    async def of_silent_store(self: Worker, of: RunKey) -> InvocationSpec | None:
        for _ in silences:
            await asyncio.sleep(0.1)
            raise Broken("no answer within 0.1 s")
        return await spec(self, of)

    monkeypatch.setattr(Worker, "spec", of_silent_store)
    await mended(console, worker)

    await console.reaches(run.key, RunStatus.TIMEOUT)
    assert next(silences, None) is None


async def test_what_a_host_has_said_counts_though_its_output_takes_too_long(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 7)  # less than cancel.REST_WITHIN_S
    worker = await console.worker(lease_s=60)
    gate, printed = console.home.directory / "slow", console.home.directory / "slow-printed"
    wait = until(gate)
    run = await let_go(console, worker, f"{wait}; echo unseen; touch {printed}; sleep 300", timeout_s=30)
    gate.touch()
    await asyncio.to_thread(eventually, printed.exists, within=20)
    monkeypatch.setattr(RemoteHost, "collect", slow)

    await mended(console, worker)

    ended = await console.reaches(run.key, RunStatus.TIMEOUT)
    assert "could not be had" in ended.error_info


async def test_an_overdue_run_that_never_started_is_aborted_and_never_will(
    console: Console, home: Installation
) -> None:
    """Its worker died between the Launching commit and the script. Nobody has asked for a stop."""
    worker = await console.worker()
    boot_id = await boot_id_of(console, worker, "i-1")
    (key,) = await console.launch(home.marking())
    await held_by_a_dead_worker(console, key, launched=True, boot_id=boot_id)

    console.clock.ahead_ms += 700_000
    await mended(console, worker)
    run = await console.reaches(key, RunStatus.ABORTED, RunStatus.CANCELLED, RunStatus.ERROR)
    await execute(worker, key)

    assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT)
    assert home.marked(key.invoke_id) == {}
    assert await console.closed(key.invoke_id) == {RunStatus.ABORTED: 1}


@pytest.mark.parametrize("began", [True, False])
async def test_a_run_that_was_fenced_by_a_process_that_died_then_ends_as_if_it_had_not(
    console: Console, began: bool
) -> None:
    """Found by a storm: it was called Cancelled, or ended by somebody on the instance."""
    console.clock.stand_still()
    worker = await console.worker()
    if began:
        key = (await let_go(console, worker, "sleep 300", timeout_s=30)).key
    else:
        boot_id = await boot_id_of(console, worker, "i-1")
        (key,) = await console.launch("sleep 300", timeout_s=30)
        await held_by_a_dead_worker(console, key, launched=True, boot_id=boot_id)
    console.clock.ahead_ms += 50_000  # past its timeout, and long before its deadline
    instance = await console.plane.store.instances.get(key.instance_id)
    assert instance is not None
    async with reached(console.plane, instance, None) as it:
        await it.host.cancel(key.run_id, user="")

    await console.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
    await reconcile(worker)
    await collect(worker, key.instance_id)

    run = await console.run(key)
    fitting = ErrorCode.EXECUTION_TIMEOUT if began else ErrorCode.DELIVERY_TIMEOUT
    assert (run.status, run.error_code) == (RunStatus.TIMEOUT if began else RunStatus.ABORTED, fitting)


async def test_an_overdue_run_that_had_ended_keeps_what_it_printed_unseen(
    console: Console, home: Installation
) -> None:
    """Nobody looked at it between its last line and its deadline."""
    worker, gate = await console.worker(), home.directory / "unseen"
    (key,) = await console.launch(f"echo begun; {until(gate)}; echo done")
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    gate.touch()
    await asyncio.to_thread(eventually, lambda: not home.processes_of(key.invoke_id, "i-1"), within=20)

    console.clock.ahead_ms += 100_000
    await mended(console, worker)

    run = await console.reaches(key, RunStatus.SUCCESS)
    assert await console.output(key) == b"begun\ndone\n"
    assert run.dropped == 0


async def let_go(console: Console, worker: Worker, script: str, timeout_s: int) -> Run:
    """A run that goes on on `i-1`, followed by nobody."""
    (key,) = await console.launch(script, timeout_s=timeout_s)
    going = asyncio.create_task(execute(worker, key))
    run = await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    return run


async def test_a_silent_host_is_asked_before_the_deadline_so_that_its_run_ends_by_then(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 2)
    worker = await console.worker(reconcile_s=20, lease_s=60)
    run = await let_go(console, worker, "sleep 300", timeout_s=60)

    with silent_port() as port:
        await console.register_one("i-1", port=port)
        deadline_ms = run.launch_ms + 1_000 * (60 + console.plane.limits.grace_s)
        console.clock.ahead_ms += deadline_ms - 21_000 - console.clock.now_ms()
        await console.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
        await reconcile(worker)
        ended = await console.reaches(run.key, RunStatus.ERROR)

    assert ended.error_code == ErrorCode.EXECUTION_INTERRUPTED
    assert ended.finish_ms <= deadline_ms


async def test_a_stop_that_comes_while_a_silent_host_is_asked_is_what_the_run_ends_by(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 10)
    worker = await console.worker(lease_s=60)
    run = await let_go(console, worker, "sleep 300", timeout_s=30)

    with silent_port() as port:
        await console.register_one("i-1", port=port)
        await mended(console, worker)
        await asyncio.to_thread(eventually, lambda: run.key in worker.carried)
        await console.stop(run.key.invoke_id)
        ended = await console.reaches(run.key, RunStatus.ERROR)

    assert ended.error_code == ErrorCode.TERMINATION_EXCEPTION


async def test_a_host_is_not_given_up_for_a_time_in_which_we_slept(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by simulation: a process that was stopped has heard nobody."""
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 6)
    tried = falling_asleep(monkeypatch, overdue, for_s=7)
    worker = await console.worker(lease_s=60)
    run = await let_go(console, worker, "sleep 300", timeout_s=30)

    await mended(console, worker)

    await console.reaches(run.key, RunStatus.TIMEOUT)
    assert set(tried) == {"i-1"}
    assert len(tried) >= 2


async def test_a_beat_leaves_overdue_runs_to_workers_while_one_is_up(console: Console) -> None:
    """It need not be able to reach the hosts."""
    worker, beat = await console.worker(), await console.worker(kind="beat", lease_s=60)
    run = await let_go(console, worker, "sleep 300", timeout_s=60)
    console.clock.ahead_ms += 300_000
    for one in (worker, beat):
        await console.plane.store.workers.beat(one.id, now_ms=console.clock.now_ms())

    await reconcile(beat)
    assert beat.expiring == 0
    await worker.leave()
    await reconcile(beat)

    await console.reaches(run.key, RunStatus.TIMEOUT)


async def test_an_overdue_run_that_this_process_still_follows_has_one_carrier(console: Console) -> None:
    """Else a drain would not see the other, and wait for it."""
    worker = await console.worker()
    (key,) = await console.launch("sleep 300", timeout_s=30)
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    follower = worker.carried[key]

    await mended(console, worker)
    await console.reaches(key, RunStatus.TIMEOUT)
    await going

    assert follower.let_go is LetGo.BURIED
    await asyncio.to_thread(eventually, lambda: not worker.carried)


async def test_the_time_of_a_run_begins_when_its_launch_is_recorded_however_long_the_store_was_away(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, runs, gate = await console.worker(), console.plane.store.runs, home.directory / "recorded"
    commit, away = runs.commit_launching, [Broken("the store is away")]

    async def late(*args: Any, **named: Any) -> Any:
        if away:
            console.clock.ahead_ms += 95_000
            await console.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
            raise away.pop()
        return await commit(*args, **named)

    monkeypatch.setattr(runs, "commit_launching", late)
    (key,) = await console.launch(f"{until(gate)}; echo done", timeout_s=30)
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    await reconcile(worker)
    gate.touch()
    await going

    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert away == []


async def test_an_overdue_run_of_a_silent_host_ends_interrupted_and_is_fenced_later(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1, and fault 41 for a run that nobody stopped."""
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 1)
    worker = await console.worker(lease_s=60)
    (key,) = await console.launch(home.marking("sleep 300"))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    with silent_port() as port:
        await console.register_one("i-1", port=port)
        console.clock.ahead_ms += 100_000
        await mended(console, worker)
        run = await console.reaches(key, RunStatus.ERROR)
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 20)
    still_there = home.processes_of(key.invoke_id, "i-1")
    await console.register(3)

    async def fenced() -> str:
        await mended(console, worker)
        return (await console.run(key)).late_result

    await eventually_async(fenced, within=30, every=0.5)
    assert run.error_code == ErrorCode.EXECUTION_INTERRUPTED
    assert still_there != []
    assert home.processes_of(key.invoke_id, "i-1") == []
    assert (await console.run(key)).status == RunStatus.ERROR


async def test_a_broker_that_is_away_keeps_no_overdue_run_open(home: Installation) -> None:
    away = f"redis+socket://{home.directory}/nobody.sock?virtual_host=1"
    async with home.console() as console:
        worker = await console.worker()
        (key,) = await console.launch("sleep 300", timeout_s=30)
        (lost,) = await console.launch("true", "i-2")
        await held_by_a_dead_worker(console, lost, launched=False)
        going = asyncio.create_task(execute(worker, key))
        await console.reaches(key, RunStatus.RUNNING)
        worker.carried[key].ask_let_go(LetGo.LONG)
        await going
        nobody = CeleryDispatch(lambda: CeleryPublisher(create_app(home.settings(), away)), "default")
        worker.plane = replace(worker.plane, dispatch=nobody)

        await mended(console, worker)

        await console.reaches(key, RunStatus.TIMEOUT)
        assert (await console.run(lost)).phase == Phase.QUEUED
