"""Store and broker die and come back, a broker forgets everything, a beat dies: every run ends, once."""

import asyncio
import signal
from functools import partial

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus
from tests.processes.conftest import Crew
from tests.support.eventually import eventually
from tests.support.plane import Console, Installation, ids

LINES = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"
WHOLE = b"1\n2\n3\n4\n5\n6\n"


async def test_store_and_broker_are_killed_and_come_back(
    console: Console, home: Installation, crew: Crew
) -> None:
    """R3: what was acknowledged is there; what ended meanwhile is recorded once the store is back."""
    crew.one()
    keys = await console.launch(home.marking(LINES), *ids(20))
    await console.reaches(keys[-1], RunStatus.RUNNING)

    home.valkey.kill()
    still_runs = partial(home.processes_of, keys[0].invoke_id, *ids(20))
    await asyncio.to_thread(eventually, lambda: not still_runs(), within=20)  # the hosts end alone
    home.valkey.start()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 20}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == WHOLE


async def test_the_plane_works_after_the_restart(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    home.valkey.kill()
    home.valkey.start()

    keys = await console.launch(home.marking("echo ok"), *ids(10))

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 10}
    assert worker.process.poll() is None


async def test_a_broker_emptied_with_thirty_runs_pending_loses_none(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.none()
    keys = await console.launch(home.marking("echo ok"), *ids(30))
    assert home.lose_messages() == 30

    crew.one()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 30}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}


async def test_a_broker_emptied_while_runs_go_on_disturbs_none(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    keys = await console.launch(home.marking(LINES), *ids(10))
    await console.reaches(keys[-1], RunStatus.RUNNING)

    home.lose_messages()
    (later,) = await console.launch(home.marking("echo ok"), "i-20")

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 10}
    assert await console.closed(later.invoke_id, within=40) == {RunStatus.SUCCESS: 1}


async def test_a_running_run_holds_no_message_so_no_visibility_timeout_redelivers_it(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    (key,) = await console.launch("sleep 2")
    await console.reaches(key, RunStatus.RUNNING)

    client = home.valkey.client(1)
    unacked = client.zcard("unacked_index")
    client.close()

    assert unacked == 0
    await console.reaches(key, RunStatus.SUCCESS)


async def test_forgotten_scripts_are_loaded_again(console: Console, home: Installation, crew: Crew) -> None:
    crew.one()
    keys = await console.launch(home.marking(LINES), *ids(5))
    await console.reaches(keys[-1], RunStatus.RUNNING)

    client = home.valkey.client()
    client.script_flush()
    client.close()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 5}


async def test_a_beat_alone_ends_overdue_runs_and_may_be_killed(
    console: Console, home: Installation, crew: Crew
) -> None:
    """R1 without a worker: the beat reconciles, and another takes over from one that was killed."""
    crew.one()
    limits = {"CLOUDASSIST_LIMIT_GRACE_S": "0"}
    (key,) = await console.launch(home.marking("sleep 300"), timeout_s=6)
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
    assert home.processes_of(key.invoke_id, "i-1") == []


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
    keys = await console.launch(home.marking("sleep 1; echo ok"), *ids(3))
    await console.reaches(keys[-1], RunStatus.RUNNING)
    home.valkey.kill()
    try:
        worker.signal(signal.SIGTERM)
        await asyncio.to_thread(worker.ended, 25)
    finally:
        home.valkey.start()
    crew.one()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 3}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
