"""Files as runs: placed once, stopped, timed out, carried on by another worker; on real hosts."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import file_program, payload
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.reconcile import reconcile
from tests.support.eventually import eventually, eventually_async
from tests.support.placing import left_behind
from tests.support.plane import Console, Installation, ids


def found_in(directory: Path) -> list[str]:
    return [one.name for one in directory.iterdir()]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program waits a minute with its file half-made, and has time to clear it away."""
    assert "\nset -C\n" in file_program.TEXT
    monkeypatch.setattr(file_program, "TEXT", file_program.TEXT.replace("\nset -C\n", "\nsleep 60\nset -C\n"))
    monkeypatch.setattr(payload, "FILE_GRACE_S", 30)


async def test_a_delivery_that_comes_twice_places_the_file_once(console: Console, tmp_path: Path) -> None:
    """A second time would find the file there."""
    workers = [await console.worker() for _ in range(2)]
    (key,) = await console.send_file("text", tmp_path)

    await asyncio.gather(*(execute(worker, key) for worker in workers))
    await execute(workers[0], key)

    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}
    assert (tmp_path / "f").read_text() == "text"


async def test_a_file_that_is_stopped_half_way_leaves_nothing(
    console: Console, tmp_path: Path, slow: None
) -> None:
    worker = await console.worker()
    (key,) = await console.send_file("text", tmp_path)
    task = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    await eventually_async(lambda: _has(tmp_path))

    await console.stop(key.invoke_id)
    await task

    assert await console.closed(key.invoke_id) == {RunStatus.TERMINATED: 1}
    assert found_in(tmp_path) == []


async def _has(directory: Path) -> bool:
    return bool(left_behind(directory))


async def test_a_file_over_its_timeout_leaves_nothing(console: Console, tmp_path: Path, slow: None) -> None:
    limits = replace(console.plane.limits, timeout_min_s=1)
    console.plane = replace(console.plane, settings=replace(console.plane.settings, limits=limits))
    worker = await console.worker()
    (key,) = await console.send_file("text", tmp_path, timeout=1)

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.TIMEOUT, ErrorCode.EXECUTION_TIMEOUT)
    eventually(lambda: found_in(tmp_path) == [])


async def test_what_is_found_while_it_runs_may_still_be_invalid(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running, then Invalid: the name is taken only at the end."""
    text = file_program.TEXT.replace("\nset -C\n", "\nsleep 1\nset -C\n")
    monkeypatch.setattr(file_program, "TEXT", text)
    worker = await console.worker()
    (tmp_path / "f").write_text("old")
    (key,) = await console.send_file("text", tmp_path)

    await execute(worker, key)

    run = await console.run(key)
    assert run.start_ms
    assert (run.status, run.error_code) == (RunStatus.INVALID, ErrorCode.FILE_ALREADY_EXISTS)
    assert await console.closed(key.invoke_id) == {RunStatus.INVALID: 1}


async def test_an_instance_that_is_away_aborts_its_part_alone(
    console: Console, home: Installation, tmp_path: Path
) -> None:
    worker = await console.worker()
    await console.register_one("i-away", port=1)
    keys = await console.send_file("text", tmp_path, "i-1", "i-away")

    await asyncio.gather(*(execute(worker, key) for key in keys))

    tally = await console.closed(keys[0].invoke_id, within=30)
    assert tally == {RunStatus.SUCCESS: 1, RunStatus.ABORTED: 1}


async def test_workers_that_are_killed_place_each_file_once(home: Installation, tmp_path: Path) -> None:
    """Nothing is replaced, so a file placed twice would be told as one that exists."""
    async with home.console(3) as console:
        opened: list[InvokeId] = []
        for round_ in range(4):
            with home.worker() as worker:
                for number in range(5):
                    for one in ids(3):
                        (key,) = await console.send_file(
                            "text", tmp_path, one, name=f"{one}.{round_}.{number}", timeout=300
                        )
                        opened.append(key.invoke_id)
                await eventually_async(lambda: _begun(console, opened), within=60)
                worker.signal(signal.SIGKILL)
        with home.worker():
            for invoke_id in opened:
                assert await console.closed(invoke_id, within=60) == {RunStatus.SUCCESS: 1}

    assert len(found_in(tmp_path)) == len(opened) == 60
    assert left_behind(tmp_path) == []


async def _begun(console: Console, opened: list[InvokeId]) -> bool:
    """Some of them are in a worker's hands."""
    tallies = [await console.tally(one) for one in opened[-15:]]
    return any(RunStatus.PENDING not in tally for tally in tallies)


async def test_the_records_of_files_are_kept_longer_than_those_of_runs(
    console: Console, tmp_path: Path
) -> None:
    worker = await console.worker()
    (run,) = await console.launch("true")
    (file,) = await console.send_file("text", tmp_path)
    for key in (run, file):
        await execute(worker, key)

    limits = console.plane.limits
    kept = {}
    for after_s in (limits.retention_s + 1, limits.file_retention_s + 1):
        console.clock.ahead_ms = after_s * 1_000
        client = console.home.valkey.client()
        client.delete("ca:turn:retention")
        client.close()
        await reconcile(worker)
        invocations = console.plane.store.invocations
        kept[after_s] = [await invocations.get(key.invoke_id) is not None for key in (run, file)]

    assert list(kept.values()) == [[False, True], [False, False]]
