"""A stop is what it looks like (R4): Cancelled never starts, Terminated is gone, and neither is guessed."""

import asyncio
import random
import signal
from collections.abc import Callable, Mapping

import pytest

from cloudassist_tasks.domain.errors import Broken, ErrorCode, Kind, LostContact, Refused
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.domain.outcome import NOT_STARTED, HostWord
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import cancel, overdue
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import LetGo, Worker
from cloudassist_tasks.ports.runs import Moved
from cloudassist_tasks.ports.transport import HostResult, HostState, Report
from cloudassist_tasks.transports.remote.host import RemoteHost
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids
from tests.support.processes import descendants, end

TREE = "sleep 300 & setsid sleep 300 & (sleep 300 & sleep 300) & wait"


async def test_a_run_that_nobody_claimed_is_cancelled_and_its_message_is_void(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    keys = await console.launch(home.marking(), "i-1", "i-2")

    await console.stop(keys[0].invoke_id)
    for key in keys:
        await execute(worker, key)

    assert await console.closed(keys[0].invoke_id) == {RunStatus.CANCELLED: 2}
    assert home.marked(keys[0].invoke_id) == {}


async def test_a_running_tree_is_gone_when_the_run_is_terminated(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    (key,) = await console.launch(home.marking(TREE))
    going = asyncio.create_task(execute(worker, key))
    await asyncio.to_thread(eventually, lambda: len(home.processes_of(key.invoke_id, "i-1")) >= 4)

    await console.stop(key.invoke_id)
    asked = (await console.run(key)).status
    await going

    run = await console.run(key)
    assert asked in (RunStatus.STOPPING, RunStatus.TERMINATED)
    assert (run.status, run.exit_code, run.stop_requested) == (RunStatus.TERMINATED, None, True)
    assert home.processes_of(key.invoke_id, "i-1") == []
    assert await console.closed(key.invoke_id) == {RunStatus.TERMINATED: 1}


async def test_a_stop_between_the_commit_and_the_send_wins_or_kills(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 11: exactly one of cancel and start wins on the host."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking("sleep 300"))
    runs = console.plane.store.runs
    commit = runs.commit_launching

    async def commit_then_stop(*args: object, **fields: object) -> Moved:
        moved = await commit(*args, **fields)  # type: ignore[arg-type]
        await console.stop(key.invoke_id)
        await asyncio.to_thread(eventually, lambda: worker.carried[key].stop.is_set())
        return moved

    monkeypatch.setattr(runs, "commit_launching", commit_then_stop)
    await execute(worker, key)

    run = await console.run(key)
    assert run.status in (RunStatus.CANCELLED, RunStatus.TERMINATED)
    assert run.status == RunStatus.TERMINATED or home.marked(key.invoke_id) == {}
    assert home.processes_of(key.invoke_id, "i-1") == []


async def test_a_stop_before_the_commit_cancels(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    runs = console.plane.store.runs
    commit = runs.commit_launching

    async def stop_then_commit(*args: object, **fields: object) -> Moved:
        await console.stop(key.invoke_id)
        return await commit(*args, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "commit_launching", stop_then_commit)
    await execute(worker, key)

    assert await console.closed(key.invoke_id) == {RunStatus.CANCELLED: 1}
    assert home.marked(key.invoke_id) == {}


async def test_a_stop_while_the_channel_of_a_launched_run_is_opened_is_heeded(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await console.worker(), await console.worker()
    (key,) = await console.launch(home.marking("sleep 300"))
    going = asyncio.create_task(execute(first, key))
    await console.reaches(key, RunStatus.RUNNING)
    first.drain()
    await going
    runs = console.plane.store.runs
    output = runs.output

    async def output_then_stop(keys):  # type: ignore[no-untyped-def]
        told = await output(keys)
        await console.stop(key.invoke_id)
        await asyncio.to_thread(eventually, lambda: second.carried[key].stop.is_set())
        return told

    monkeypatch.setattr(runs, "output", output_then_stop)
    async with asyncio.timeout(60):
        await execute(second, key)

    assert (await console.run(key)).status == RunStatus.TERMINATED
    assert home.processes_of(key.invoke_id, "i-1") == []


async def test_a_run_adrift_is_stopped_by_whoever_comes_next(console: Console, home: Installation) -> None:
    worker = await console.worker()
    (key,) = await console.launch(home.marking(TREE))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    home.lose_messages()

    await console.stop(key.invoke_id)
    [message] = home.messages()
    await execute(worker, message.key)

    assert message.key == key
    assert (await console.run(key)).status == RunStatus.TERMINATED
    assert home.processes_of(key.invoke_id, "i-1") == []


async def seen_to_begin(console: Console, key: RunKey) -> None:
    """Until what it prints first is in the store."""

    async def has_begun() -> bool:
        return await console.output(key) == b"begun\n"

    await eventually_async(has_begun, within=20)


async def adrift(console: Console, worker: Worker, name: str) -> RunKey:
    """A run that goes on, and that nobody follows any more; since then it has printed `more`, too."""
    gate, printed = console.home.directory / name, console.home.directory / f"{name}-printed"
    (key,) = await console.launch(f"echo begun; {until(gate)}; echo more; touch {printed}; sleep 300")
    going = asyncio.create_task(execute(worker, key))
    await seen_to_begin(console, key)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going
    gate.touch()
    await asyncio.to_thread(eventually, printed.exists, within=20)
    return key


async def test_a_run_that_is_stopped_adrift_keeps_what_it_printed_unseen(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    key = await adrift(console, worker, "adrift")

    await console.stop(key.invoke_id)
    await execute(worker, key)

    assert (await console.run(key)).status == RunStatus.TERMINATED
    assert await console.output(key) == b"begun\nmore\n"


async def test_a_reset_while_the_rest_of_the_output_is_brought_costs_none_of_it(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host has told the end, and drops the next connection."""
    worker = await console.worker()
    key = await adrift(console, worker, "reset")
    collect, resets = RemoteHost.collect, iter([True])

    async def reset_once(host: RemoteHost, offsets: Mapping[str, int], *, user: str) -> Mapping[str, Report]:
        if next(resets, False):
            raise LostContact("i-1: connection reset by peer")
        return await collect(host, offsets, user=user)

    monkeypatch.setattr(RemoteHost, "collect", reset_once)
    await console.stop(key.invoke_id)
    await execute(worker, key)

    assert next(resets, False) is False
    assert (await console.run(key)).status == RunStatus.TERMINATED
    assert await console.output(key) == b"begun\nmore\n"


async def test_an_end_whose_output_cannot_be_had_any_more_says_so(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host has told the end, and is gone for good."""

    async def gone(*_: object, **__: object) -> None:
        raise LostContact("i-1: no answer")

    worker = await console.worker()
    key = await adrift(console, worker, "gone")
    monkeypatch.setattr(cancel, "REST_WITHIN_S", 0.5)
    monkeypatch.setattr(RemoteHost, "collect", gone)
    await console.stop(key.invoke_id)
    await execute(worker, key)

    run = await console.run(key)
    assert run.status == RunStatus.TERMINATED
    assert await console.output(key) == b"begun\n"
    assert run.dropped == len("more\n")
    assert "the last 5 bytes of the output could not be had" in run.error_info


async def test_a_run_whose_record_is_deleted_while_we_follow_it_is_never_called_cancelled(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start was seen by who follows it, though the store was away when that was to be noted."""

    async def away(*_: object, **__: object) -> None:
        raise Broken("the store is away")

    async def without_record(*_: object, **__: object) -> Report:
        never = HostResult(word=HostWord.CANCELED, code=NOT_STARTED)
        return Report(state=HostState.DONE, boot_id=(await console.run(key)).boot_id, result=never)

    worker = await console.worker()
    monkeypatch.setattr(console.plane.store.runs, "started", away)
    (key,) = await console.launch("echo begun; sleep 300")
    going = asyncio.create_task(execute(worker, key))
    await seen_to_begin(console, key)
    monkeypatch.setattr(RemoteHost, "cancel", without_record)
    await console.stop(key.invoke_id)
    await going

    assert (await console.run(key)).status == RunStatus.ERROR


async def test_a_stop_whose_wake_up_is_lost_is_heard_at_the_next_beat(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    assert worker._listening is not None
    worker._listening.cancel()
    (key,) = await console.launch("sleep 300")
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)

    await console.stop(key.invoke_id)
    async with asyncio.timeout(60):
        await going

    assert (await console.run(key)).status == RunStatus.TERMINATED


async def test_a_partial_stop_leaves_the_others_alone(console: Console, home: Installation) -> None:
    worker = await console.worker()
    gate = home.directory / "partial"
    keys = await console.launch(until(gate), *ids(3))
    going = [asyncio.create_task(execute(worker, key)) for key in keys]
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    await console.stop(keys[0].invoke_id, "i-2")
    await console.reaches(keys[1], RunStatus.TERMINATED)
    gate.touch()
    await asyncio.gather(*going)

    assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 2, RunStatus.TERMINATED: 1}


async def test_a_stop_of_strangers_and_of_nothing_is_refused_or_harmless(console: Console) -> None:
    worker = await console.worker()
    (key,) = await console.launch("true")
    await execute(worker, key)

    with pytest.raises(Refused) as stranger:
        await console.stop(key.invoke_id, "i-2")
    with pytest.raises(Refused) as nothing:
        await console.stop(InvokeId("t-none"))
    await console.stop(key.invoke_id)

    assert stranger.value.kind == Kind.INSTANCE_NOT_IN_INVOCATION
    assert nothing.value.kind == Kind.INVOCATION_NOT_FOUND
    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}


async def test_a_stop_that_races_the_end_gives_one_of_the_two(console: Console, home: Installation) -> None:
    worker = await console.worker()
    chance = random.Random(7)

    async def race(n: int) -> InvokeId:
        (key,) = await console.launch(home.marking("sleep 0.2"), f"i-{n % 3 + 1}")
        going = asyncio.create_task(execute(worker, key))
        await asyncio.sleep(chance.uniform(0, 0.6))  # the race itself, not a wait for it
        await console.stop(key.invoke_id)
        await going
        return key.invoke_id

    for n in range(0, 24, 8):
        for invoke_id in await asyncio.gather(*(race(n + m) for m in range(8))):
            [status] = await console.closed(invoke_id)
            assert status in (RunStatus.SUCCESS, RunStatus.TERMINATED, RunStatus.CANCELLED)
            assert status != RunStatus.CANCELLED or home.marked(invoke_id) == {}
            assert max(home.marked(invoke_id).values(), default=0) <= 1
            assert home.processes_of(invoke_id, *ids(3)) == []


async def test_a_silent_host_stays_stopping_until_its_deadline_and_is_fenced_when_it_answers(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3, R4: never Terminated by a guess; the end is final, what came late is kept beside it."""
    monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 1)
    async with home.console(CLOUDASSIST_LEASE_S="1000") as console:
        worker, mender = await console.worker(), await console.worker()
        (key,) = await console.launch(home.marking("sleep 300"), timeout_s=60)
        going = asyncio.create_task(execute(worker, key))
        await console.reaches(key, RunStatus.RUNNING)
        assert home.sshd.process is not None
        frozen = {home.sshd.process.pid, *descendants(home.sshd.process.pid)} - set(
            home.processes_of(key.invoke_id, "i-1")
        )
        end(frozen, signal.SIGSTOP)
        try:
            await console.stop(key.invoke_id)
            await reconcile(mender)
            in_time = (await console.run(key)).status
            console.clock.ahead_ms = 130_000  # past timeout and grace
            await reconcile(mender)
            given_up = await console.reaches(key, RunStatus.ERROR)
        finally:
            end(frozen, signal.SIGCONT)
        monkeypatch.setattr(overdue, "FENCE_WITHIN_S", 20)
        still_there = home.processes_of(key.invoke_id, "i-1")
        console.clock.ahead_ms += 3_100_000
        await reconcile(mender)
        await eventually_async(_later(console, key, lambda run: run.late_result), within=30)
        going.cancel()

        assert in_time == RunStatus.STOPPING
        assert given_up.error_code == ErrorCode.TERMINATION_EXCEPTION
        assert (await console.run(key)).status == RunStatus.ERROR
        assert (await console.run(key)).late_result.startswith("canceled")
        assert home.processes_of(key.invoke_id, "i-1") == []
        assert still_there != [] or home.marked(key.invoke_id) == {"i-1": 1}


def _later(console: Console, key, holds: Callable):  # type: ignore[no-untyped-def, type-arg]
    async def condition() -> object:
        return holds(await console.run(key))

    return condition
