"""A store that was restored to an earlier moment: the host knows more, and its word is taken (R2, R4)."""

import asyncio

import pytest

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.ports.runs import Moved
from cloudassist_tasks.store import keys
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.plane import Console, Installation


async def _running_but_forgotten(console: Console, home: Installation, script: str) -> RunKey:
    """The script runs on its host; the store says that nobody has claimed it yet."""
    worker = await console.worker()
    (key,) = await console.launch(home.marking(script))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.drain()
    await going
    client = home.valkey.client()
    client.delete(keys.run(key))
    client.hincrby(keys.tally(key.invoke_id), "Running", -1)
    client.hincrby(keys.tally(key.invoke_id), "Pending", 1)
    client.close()
    return key


async def test_a_launch_that_the_store_forgot_is_followed_not_repeated(
    console: Console, home: Installation
) -> None:
    gate = home.directory / "forgotten"
    script = f"{until(gate)}; echo done"
    key = await _running_but_forgotten(console, home, script)

    going = asyncio.create_task(execute(await console.worker(), key))
    await console.reaches(key, RunStatus.RUNNING)
    gate.touch()
    await going

    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert await console.output(key) == b"done\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_stop_of_a_launch_that_the_store_forgot_ends_it_on_the_host(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await _running_but_forgotten(console, home, "sleep 300")
    worker = await console.worker()
    runs = console.plane.store.runs
    commit = runs.commit_launching

    async def stop_then_commit(*args: object, **fields: object) -> Moved:
        await console.stop(key.invoke_id)
        await asyncio.to_thread(eventually, lambda: worker.carried[key].stop.is_set())
        return await commit(*args, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "commit_launching", stop_then_commit)
    await execute(worker, key)

    assert (await console.run(key)).status == RunStatus.TERMINATED
    assert home.processes_of(key.invoke_id, "i-1") == []
