"""Caps: no more runs in hand at once than allowed, and no others begun after too many failures."""

import asyncio
from typing import Any

import pytest

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import complete as completing
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.retry import retry_failed
from cloudassist_tasks.engine.worker import Worker
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids

FAILS = "exit 3"


def at_once(amount: int) -> Caps:
    return Caps(max_concurrency=Share(amount))


def errors(amount: int, *, concurrency: int = 1) -> Caps:
    return Caps(max_concurrency=Share(concurrency), max_errors=Share(amount))


async def _carry_out(worker: Worker, home: Installation, *, ends: int = 1_000) -> list[RunKey]:
    """Whatever is published, and what follows from it, one after another."""
    carried: list[RunKey] = []
    while (messages := home.messages()) and len(carried) < ends:
        home.lose_messages()
        for message in messages:
            carried.append(message.key)
            await execute(worker, message.key)
    return carried


async def _nobody_heeds(plane: Plane, invoke_id: InvokeId, *, round: int) -> None:
    """A process that dies as soon as it has recorded an end."""


async def _mended(worker: Worker, console: Console) -> None:
    console.clock.ahead_ms += 100_000
    await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
    await reconcile(worker)


async def test_each_end_makes_room_for_one_more(console: Console, home: Installation) -> None:
    await console.register(6)
    worker = await console.worker()
    keys = await console.launch(home.marking(), *ids(6), caps=at_once(2))

    first = [message.key for message in home.messages()]
    home.lose_messages()
    await execute(worker, first[0])
    then = [message.key for message in home.messages()]
    await execute(worker, first[1])
    await _carry_out(worker, home)

    assert (first, then) == (keys[:2], keys[2:3])
    assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 6}
    assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(6), 1)


async def test_a_share_counts_all_the_instances(console: Console, home: Installation) -> None:
    await console.register(7)

    await console.launch("true", *ids(7), caps=Caps(max_concurrency=Share(30, percent=True)))

    assert len(home.messages()) == 3


async def test_room_that_a_dying_process_left_is_found(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await console.worker()
    keys = await console.launch("true", *ids(3), caps=at_once(1))
    home.lose_messages()
    with monkeypatch.context() as dying:
        dying.setattr(completing, "heed_caps", _nobody_heeds)
        await execute(worker, keys[0])
    left = home.messages()

    await _mended(worker, console)

    assert left == []
    assert [message.key for message in home.messages()] == [keys[1]]


async def test_a_run_that_was_never_published_is_not_claimed_over_the_cap(console: Console) -> None:
    """As after a store that came back without its last second: the message is out, the store forgot it."""
    worker = await console.worker()
    keys = await console.launch("true", *ids(3), caps=at_once(1))

    await execute(worker, keys[2])
    early = await console.run(keys[2])
    await execute(worker, keys[0])
    await execute(worker, keys[1])
    await execute(worker, keys[2])

    assert (early.status, early.deliveries) == (RunStatus.PENDING, 0)
    assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 3}


async def test_a_stop_on_some_instances_makes_room_for_the_others(
    console: Console, home: Installation
) -> None:
    keys = await console.launch("true", *ids(3), caps=at_once(1))
    home.lose_messages()

    await console.stop(keys[0].invoke_id, "i-1")

    assert [message.key for message in home.messages()] == [keys[1]]


async def test_runs_that_wait_for_their_instance_keep_their_room_and_lose_none(home: Installation) -> None:
    """The cap comes first and the instance's slot second, so that no two can wait for each other."""
    async with home.console(2, CLOUDASSIST_LIMIT_INSTANCE_RUNS="1") as console:
        worker = await console.worker()
        gate = home.directory / "busy"
        (other,) = await console.launch(until(gate), "i-1")
        busy = asyncio.create_task(execute(worker, other))
        await console.reaches(other, RunStatus.RUNNING)
        home.lose_messages()
        keys = await console.launch(home.marking(), "i-1", "i-2", caps=at_once(1))

        await _carry_out(worker, home)
        waiting = await console.tally(keys[0].invoke_id)
        gate.touch()
        await busy
        await _carry_out(worker, home)

        assert waiting == {RunStatus.PENDING: 2}
        assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 2}
        assert home.marked(keys[0].invoke_id) == {"i-1": 1, "i-2": 1}


async def test_a_run_that_its_instance_refuses_makes_room_and_counts_as_a_failure(home: Installation) -> None:
    limits: dict[str, Any] = {
        "CLOUDASSIST_LIMIT_INSTANCE_RUNS": "1",
        "CLOUDASSIST_LIMIT_INSTANCE_WAITING": "0",
    }
    async with home.console(3, **limits) as console:
        worker = await console.worker()
        (other,) = await console.launch("sleep 300", "i-1")
        busy = asyncio.create_task(execute(worker, other))
        await console.reaches(other, RunStatus.RUNNING)
        home.lose_messages()
        keys = await console.launch("true", *ids(3), caps=at_once(1))
        strict = await console.launch("true", *ids(3), caps=errors(0))

        await _carry_out(worker, home)

        assert await console.closed(keys[0].invoke_id) == {RunStatus.ABORTED: 1, RunStatus.SUCCESS: 2}
        assert await console.closed(strict[0].invoke_id) == {RunStatus.ABORTED: 1, RunStatus.CANCELLED: 2}
        await console.stop(other.invoke_id)
        await busy


async def test_one_failure_too_many_cancels_what_has_not_begun(console: Console, home: Installation) -> None:
    await console.register(20)
    worker = await console.worker()
    keys = await console.launch(home.marking(FAILS), *ids(20), caps=errors(2))

    carried = await _carry_out(worker, home)

    assert len(carried) == 3
    assert await console.closed(keys[0].invoke_id) == {RunStatus.FAILED: 3, RunStatus.CANCELLED: 17}
    assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(3), 1)
    last = await console.run(keys[19])
    assert last.error_code == ErrorCode.MAX_ERRORS_EXCEEDED
    assert "3 runs of the invocation had failed and no more than 2 may" in last.error_info
    assert (last.stop_requested, last.stop_ms) == (False, 0)


async def test_as_many_failures_as_allowed_stop_nothing(console: Console, home: Installation) -> None:
    worker = await console.worker()
    keys = await console.launch(FAILS, *ids(3), caps=Caps(max_errors=Share(100, percent=True)))

    await _carry_out(worker, home)

    assert await console.closed(keys[0].invoke_id) == {RunStatus.FAILED: 3}


async def test_what_runs_when_the_limit_is_passed_goes_on_to_its_end(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    gate = home.directory / "going"
    script = f"case {{{{ACS::InstanceId}}}} in i-2) exit 3;; esac; {until(gate)}"
    keys = await console.launch(script, *ids(3), caps=errors(0, concurrency=2))
    going = asyncio.create_task(execute(worker, keys[0]))
    await console.reaches(keys[0], RunStatus.RUNNING)

    await execute(worker, keys[1])
    meanwhile = await console.tally(keys[0].invoke_id)
    gate.touch()
    await going

    assert meanwhile == {RunStatus.RUNNING: 1, RunStatus.FAILED: 1, RunStatus.CANCELLED: 1}
    assert await console.closed(keys[0].invoke_id) == {
        RunStatus.SUCCESS: 1,
        RunStatus.FAILED: 1,
        RunStatus.CANCELLED: 1,
    }


async def test_a_published_run_is_cancelled_by_its_claim_if_the_process_that_should_has_died(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completing, "heed_caps", _nobody_heeds)
    worker = await console.worker()
    keys = await console.launch(home.marking(FAILS), *ids(3), caps=errors(0, concurrency=2))

    await execute(worker, keys[0])
    await execute(worker, keys[1])

    second = await console.run(keys[1])
    assert (second.status, second.error_code) == (RunStatus.CANCELLED, ErrorCode.MAX_ERRORS_EXCEEDED)
    assert await console.closed(keys[0].invoke_id) == {RunStatus.FAILED: 1, RunStatus.CANCELLED: 2}
    assert home.marked(keys[0].invoke_id) == {"i-1": 1}


async def test_a_halt_that_a_dying_process_left_is_finished(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await console.worker()
    keys = await console.launch(FAILS, *ids(3), caps=errors(0))
    with monkeypatch.context() as dying:
        dying.setattr(completing, "heed_caps", _nobody_heeds)
        await execute(worker, keys[0])
    halted = await console.tally(keys[0].invoke_id)

    await _mended(worker, console)

    assert halted == {RunStatus.FAILED: 1, RunStatus.PENDING: 2}
    assert await console.closed(keys[0].invoke_id) == {RunStatus.FAILED: 1, RunStatus.CANCELLED: 2}


async def test_a_retry_keeps_to_the_same_caps(console: Console, home: Installation) -> None:
    worker = await console.worker()
    keys = await console.launch(FAILS, *ids(3), caps=at_once(2))
    await _carry_out(worker, home)

    again = await retry_failed(console.plane, keys[0].invoke_id)

    assert (await console.invocation(again.invoke_id)).spec.caps == at_once(2)
    assert len(home.messages()) == 2
