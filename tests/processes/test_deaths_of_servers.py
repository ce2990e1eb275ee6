"""A beat alone, a worker without a store, a store that is away at the end: every run ends, once."""

import asyncio
import signal

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus
from tests.processes.conftest import Crew
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids


async def test_a_beat_alone_ends_overdue_runs_and_may_be_killed(
    console: Console, home: Installation, crew: Crew
) -> None:
    """R1 without a worker: the beat reconciles, and another takes over from one that was killed."""
    crew.one()
    limits = {"CLOUDASSIST_LIMIT_GRACE_S": "0"}
    (key,) = await console.launch(home.marking("sleep 300"), timeout_s=60)
    await console.reaches(key, RunStatus.RUNNING)
    with home.beat(**limits) as first:
        crew.none()
        first.kill()
        first.wait()
        client = home.valkey.client()  # grace is the worker's setting; the deadline is moved for the test
        client.zadd("ca:deadlines", {key.run_id: 1})
        client.close()
        with home.beat(**limits):
            run = await console.reaches(key, RunStatus.TIMEOUT, RunStatus.ERROR, within=40)

    assert run.error_code in (ErrorCode.EXECUTION_TIMEOUT, ErrorCode.EXECUTION_INTERRUPTED)
    await asyncio.to_thread(eventually, lambda: home.processes_of(key.invoke_id, "i-1") == [], 60)


async def test_a_worker_that_finds_no_store_registers_once_it_comes(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.none()
    home.valkey.stop()
    starting = asyncio.create_task(asyncio.to_thread(crew.another))
    try:
        done, _ = await asyncio.wait([starting], timeout=4)
        early = bool(done)
    finally:
        home.valkey.start()
    worker = await starting

    (key,) = await console.launch(home.marking("echo ok"))

    await console.reaches(key, RunStatus.SUCCESS, within=30)
    assert worker.process.poll() is None
    assert not early or "not_registered" in worker.log


async def test_sigterm_while_the_store_is_away_does_not_hang_for_ever(
    console: Console, home: Installation, crew: Crew
) -> None:
    worker = crew.one()
    gate = home.directory / "gate"
    keys = await console.launch(home.marking(f"{until(gate)}; echo ok"), *ids(3))
    await console.reaches(keys[-1], RunStatus.RUNNING)
    home.valkey.kill()
    gate.touch()
    try:
        worker.signal(signal.SIGTERM)
        await asyncio.to_thread(worker.ended, 60)
    finally:
        home.valkey.start()
    crew.one()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 3}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
