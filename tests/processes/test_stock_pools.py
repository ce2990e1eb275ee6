"""Celery's own pools carry the same runs: run, stop, drain."""

import asyncio
import os
import signal

import pytest

from cloudassist_tasks.domain.status import RunStatus
from tests.processes.conftest import Crew, claimed_again
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids


@pytest.mark.parametrize("pool", ["threads", "prefork"])
async def test_a_stock_pool_runs_stops_and_drains(
    console: Console, home: Installation, crew: Crew, pool: str
) -> None:
    crew.none()
    worker = await asyncio.to_thread(lambda: crew.another(pool, concurrency=3))
    gate = home.directory / f"gate-{pool}"
    short = await console.launch(home.marking("echo ok"), *ids(6))
    assert await console.closed(short[0].invoke_id, within=40) == {RunStatus.SUCCESS: 6}
    (stopped,) = await console.launch(home.marking("sleep 300"))
    long = await console.launch(home.marking(f"echo a; {until(gate)}; echo b"), "i-2", "i-3", timeout_s=600)
    for key in (stopped, *long):
        await console.reaches(key, RunStatus.RUNNING)

    await console.stop(stopped.invoke_id)
    await console.reaches(stopped, RunStatus.TERMINATED)
    worker.signal(signal.SIGTERM)
    await asyncio.to_thread(worker.ended, 60)
    await asyncio.to_thread(lambda: crew.another(pool, concurrency=3))
    gate.touch()

    assert await console.closed(long[0].invoke_id, within=40) == {RunStatus.SUCCESS: 2}
    assert [await console.output(key) for key in long] == [b"a\nb\n"] * 2
    assert home.processes_of(stopped.invoke_id, "i-1") == []
    for invoke_id in (short[0].invoke_id, stopped.invoke_id, long[0].invoke_id):
        assert set(home.marked(invoke_id).values()) == {1}


async def test_a_prefork_child_that_is_killed_loses_no_run(
    console: Console, home: Installation, crew: Crew
) -> None:
    """A claim belongs to a process: the child's dies with it, and the run goes on."""
    crew.none()
    await asyncio.to_thread(lambda: crew.another("prefork", concurrency=2))
    gate = home.directory / "gate"
    (key,) = await console.launch(home.marking(f"echo a; {until(gate)}; echo b"))
    await console.reaches(key, RunStatus.RUNNING)
    carried, pid = await console.holder(key)

    os.kill(pid, signal.SIGKILL)
    await claimed_again(console, carried)
    gate.touch()

    await console.reaches(key, RunStatus.SUCCESS, within=30)
    assert await console.output(key) == b"a\nb\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}
