"""One run from claimed to ended, on a real host."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.errors import Broken, ErrorCode
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.instance import InstanceStatus
from cloudassist_tasks.domain.output import HEAD_BYTES, TAIL_BYTES
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.engine.execute import MOST_DELIVERIES, execute
from cloudassist_tasks.ports.transport import Reached
from tests.support.eventually import eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation


async def test_a_run_that_succeeds_has_its_output_times_and_exit_code(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    (key,) = await console.launch(home.marking("echo on {{ACS::InstanceId}}; sleep 0.3"))

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.exit_code, run.error_code) == (RunStatus.SUCCESS, 0, "")
    assert await console.output(key) == b"on i-1\n"
    assert 300 <= run.finish_ms - run.start_ms < 60_000
    assert run.launch_ms <= run.start_ms + 100
    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}
    assert home.marked(key.invoke_id) == {"i-1": 1}


@pytest.mark.parametrize("step", ["started", "record_output"])
async def test_what_the_store_did_not_take_is_told_again_though_nothing_more_comes(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    go = home.sshd.base / f"go-{step}"
    worker = await console.worker()
    (key,) = await console.launch(f"echo said; {until(go)}")
    runs = type(worker.plane.store.runs)
    real, away = getattr(runs, step), [Broken("the store is away")]

    async def sometimes(*args: Any, **fields: Any) -> Any:
        if away:
            raise away.pop()
        return await real(*args, **fields)

    monkeypatch.setattr(runs, step, sometimes)
    executing = asyncio.create_task(execute(worker, key))

    async def is_told() -> bool:
        run, output = await console.run(key), await console.output(key)
        return not away and run.status is RunStatus.RUNNING and run.start_ms > 0 and output == b"said\n"

    await eventually_async(is_told)
    go.touch()
    await executing
    assert (await console.run(key)).status is RunStatus.SUCCESS


async def test_another_exit_code_is_a_failure_with_a_reason(console: Console) -> None:
    worker = await console.worker()
    (key,) = await console.launch("echo said; exit 3")

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.exit_code) == (RunStatus.FAILED, 3)
    assert run.error_code == ErrorCode.EXIT_CODE_NONZERO
    assert await console.output(key) == b"said\n"


async def test_a_run_over_its_timeout_has_no_exit_code_and_ended_at_the_timeout(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    (key,) = await console.launch("echo begun; sleep 100", timeout_s=1)

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.exit_code) == (RunStatus.TIMEOUT, None)
    assert run.error_code == ErrorCode.EXECUTION_TIMEOUT
    assert run.finish_ms == run.start_ms + 1_000
    assert home.processes_of(key.invoke_id, "i-1") == []


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        (ErrorCode.ACCOUNT_NOT_EXISTS, {"username": "nobody-of-that-name"}),
        (ErrorCode.DIRECTORY_NOT_EXISTS, {"working_dir": "/no/such/place"}),
    ],
)
async def test_a_missing_user_or_directory_is_invalid_and_starts_nothing(
    console: Console, home: Installation, code: ErrorCode, fields: dict[str, str]
) -> None:
    worker = await console.worker()
    (key,) = await console.launch(home.marking(), **fields)

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.INVALID, code)
    assert home.marked(key.invoke_id) == {}


async def test_an_unknown_built_in_parameter_is_invalid(console: Console) -> None:
    worker = await console.worker()
    (key,) = await console.launch("echo {{ACS::NoSuchThing}}")

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.error_code) == (
        RunStatus.INVALID,
        ErrorCode.INVALID_SYSTEM_BUILT_IN_PARAMETER,
    )


async def test_an_instance_that_is_stopped_or_gone_aborts_its_run_alone(console: Console) -> None:
    worker = await console.worker()
    stopped = await console.plane.store.instances.get_many(["i-2"])  # type: ignore[list-item]
    await console.plane.store.instances.add(
        [replace(one, status=InstanceStatus.STOPPED) for one in stopped.values()], replace=True
    )
    keys = await console.launch("true", "i-1", "i-2")

    for key in keys:
        await execute(worker, key)

    assert await console.closed(keys[0].invoke_id) == {RunStatus.SUCCESS: 1, RunStatus.ABORTED: 1}
    assert (await console.run(keys[1])).error_code == ErrorCode.INSTANCE_NOT_RUNNING


async def test_output_stands_in_the_store_while_the_run_goes_on(console: Console, home: Installation) -> None:
    worker = await console.worker()
    gate = home.directory / "gate"
    (key,) = await console.launch(f"echo first; {until(gate)}; echo last")

    going = asyncio.create_task(execute(worker, key))
    await eventually_async(lambda: _has(console, key, b"first\n"))
    seen = await console.run(key)
    gate.touch()
    await going

    assert seen.status == RunStatus.RUNNING
    assert await console.output(key) == b"first\nlast\n"


async def _has(console: Console, key: RunKey, output: bytes) -> bool:
    return await console.output(key) == output


async def test_of_much_output_head_and_tail_are_kept_and_the_middle_is_counted(console: Console) -> None:
    worker = await console.worker()
    (key,) = await console.launch("echo BEGIN; seq 1 30000; echo END")
    whole = ("BEGIN\n" + "".join(f"{n}\n" for n in range(1, 30_001)) + "END\n").encode()

    await execute(worker, key)

    run = await console.run(key)
    (output,) = await console.plane.store.runs.output([key])
    assert (run.status, run.output_bytes) == (RunStatus.SUCCESS, len(whole))
    assert output.head == whole[:HEAD_BYTES]
    assert output.tail == whole[-TAIL_BYTES:]
    assert run.dropped == len(whole) - HEAD_BYTES - TAIL_BYTES


async def test_a_second_delivery_changes_nothing(console: Console, home: Installation) -> None:
    """Fault 7, above the host: the claim stands."""
    first, second = await console.worker(), await console.worker()
    gate = home.directory / "second"
    (key,) = await console.launch(home.marking(f"{until(gate)}; echo done"))
    going = asyncio.create_task(execute(first, key))
    await console.reaches(key, RunStatus.RUNNING)
    before = await console.run(key)

    await execute(second, key)
    await execute(first, key)

    assert (await console.run(key)).epoch == before.epoch
    gate.touch()
    await going
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_delivery_after_the_end_changes_nothing(console: Console, home: Installation) -> None:
    """Fault 9: what the host has long forgotten, the store has not."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking())
    await execute(worker, key)
    before = await console.run(key)

    await execute(worker, key)

    assert await console.run(key) == before
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_two_workers_that_claim_at_once_start_it_once(console: Console, home: Installation) -> None:
    workers = [await console.worker() for _ in range(4)]
    (key,) = await console.launch(home.marking())

    await asyncio.gather(*(execute(worker, key) for worker in workers))

    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_the_key_of_a_host_that_is_trusted_on_first_use_is_recorded(
    console: Console, home: Installation
) -> None:
    worker = await console.worker()
    await console.register_one("i-new", host_key=None, trust_on_first_use=True)
    (key,) = await console.launch("true", "i-new")

    await execute(worker, key)

    assert (await console.run(key)).status == RunStatus.SUCCESS
    instance = await console.plane.store.instances.get(key.instance_id)
    assert instance is not None
    assert instance.host_key == home.sshd.host_key


async def test_a_task_that_is_revoked_while_it_carries_gives_the_run_back(
    console: Console, home: Installation
) -> None:
    """Revoking a task is no stop of its run: another delivery goes on with it."""
    worker = await console.worker()
    gate = home.directory / "revoked"
    (key,) = await console.launch(home.marking(f"{until(gate)}; echo end"))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)

    going.cancel()
    await asyncio.wait([going])

    await eventually_async(lambda: _is_free(console, key))
    gate.touch()
    await execute(worker, key)
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert await console.output(key) == b"end\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def _is_free(console: Console, key: RunKey) -> bool:
    return (await console.run(key)).worker is None


class FaultyTransport:
    """A transport with a bug: every contact raises what no transport should."""

    def reach(self, *_: object, **__: object) -> AbstractAsyncContextManager[Reached]:
        raise ValueError("a bug")

    async def load(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to end."""


async def test_a_fault_of_ours_ends_the_run_after_five_tries(console: Console) -> None:
    worker = await console.worker()
    worker.plane = replace(worker.plane, transport=FaultyTransport())
    (key,) = await console.launch("true")

    for _ in range(MOST_DELIVERIES):
        with pytest.raises(ValueError, match="a bug"):
            await execute(worker, key)
        await eventually_async(lambda: _released(console, key))

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.ERROR, ErrorCode.EXECUTION_EXCEPTION)
    assert "run_faulted" in run.error_info
    assert await console.closed(key.invoke_id) == {RunStatus.ERROR: 1}


async def _released(console: Console, key: RunKey) -> bool:
    run = await console.run(key)
    return run.worker is None or run.status in FINAL
