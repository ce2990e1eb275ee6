"""Faults of store and broker: killed, emptied, full, forgetful. What was acknowledged is there, each script
ran once on its host, every run ends, and the plane heals by itself.
"""

import asyncio
import signal
from collections.abc import Sequence
from functools import partial

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import RunStatus
from tests.processes.conftest import Crew
from tests.support.celery_worker import celery_worker
from tests.support.eventually import eventually
from tests.support.plane import Console, Installation, ids
from tests.support.valkey import private_valkey

LINES = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"
WHOLE = b"1\n2\n3\n4\n5\n6\n"


async def test_store_kill_9_and_restart_loses_nothing(
    console: Console, home: Installation, crew: Crew
) -> None:
    """R3: what was acknowledged is there; what ended meanwhile is recorded once the store is back."""
    crew.one()
    keys = await console.launch(home.marking(LINES) + home.marking(), *ids(20))  # marks its end, too
    await console.reaches(keys[-1], RunStatus.RUNNING)

    home.valkey.kill()
    try:
        ended = partial(_each_marked_twice, home, keys)
        await asyncio.to_thread(eventually, ended, within=60)  # the hosts end alone
    finally:
        home.valkey.start()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 20}
    assert _each_marked_twice(home, keys)
    for key in keys:
        assert await console.output(key) == WHOLE


def _each_marked_twice(home: Installation, keys: Sequence[RunKey]) -> bool:
    return home.marked(keys[0].invoke_id) == {key.instance_id: 2 for key in keys}


async def test_store_kill_9_and_restart_the_same_worker_goes_on(
    console: Console, home: Installation, crew: Crew
) -> None:
    worker = crew.one()
    home.valkey.kill()
    home.valkey.start()

    keys = await console.launch(home.marking("echo ok"), *ids(10))

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 10}
    assert worker.process.poll() is None


async def test_an_emptied_broker_database_loses_no_pending_run(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.none()
    keys = await console.launch(home.marking("echo ok"), *ids(30))
    assert home.lose_messages() == 30

    crew.one()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 30}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}


async def test_an_emptied_broker_database_disturbs_no_run_that_goes_on(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    keys = await console.launch(home.marking(LINES), *ids(10))
    await console.reaches(keys[-1], RunStatus.RUNNING)

    home.lose_messages()
    (later,) = await console.launch(home.marking("echo ok"), "i-20")

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 10}
    assert await console.closed(later.invoke_id, within=40) == {RunStatus.SUCCESS: 1}


async def test_restart_with_an_emptied_broker_database(
    console: Console, home: Installation, crew: Crew
) -> None:
    """A broker of its own is killed and comes back with nothing: no message, no queue, no binding."""
    crew.none()
    with private_valkey() as broker:
        url = broker.broker_url(1)
        async with home.console(10, emptied=False, CLOUDASSIST_BROKER_URL=url) as caller:
            waiting = await caller.launch(home.marking("echo ok"), *ids(10))
            worker = await asyncio.to_thread(partial(crew.another, CLOUDASSIST_BROKER_URL=url))
            going = await caller.launch(home.marking(LINES), *ids(10))
            await caller.reaches(going[-1], RunStatus.RUNNING)
            broker.kill()
            broker.forget()
            broker.start()
            later = await caller.launch(home.marking("echo ok"), *ids(10))

            for keys in (waiting, going, later):
                assert await caller.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 10}
                assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(10), 1)
            assert worker.process.poll() is None
        crew.none()


async def test_brpop_window_loss(console: Console, home: Installation, crew: Crew) -> None:
    """The broker has handed the message to a process that never reads it: it is lost, the run is not."""
    worker = crew.one()
    worker.signal(signal.SIGSTOP)
    (key,) = await console.launch(home.marking(LINES))
    await asyncio.to_thread(eventually, lambda: home.messages() == [])
    worker.process.kill()
    worker.process.wait()

    crew.one()

    assert await console.closed(key.invoke_id, within=40) == {RunStatus.SUCCESS: 1}
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_visibility_timeout_shorter_than_the_runs_starts_none_twice(
    console: Console, home: Installation, crew: Crew
) -> None:
    """A second, with runs of five (the plan says 5 s and 20 s): messages that wait for a slot come again and
    again; those of runs that go on are acknowledged, and come no more."""
    crew.none()
    with celery_worker(
        "tests.faults.short_visibility",
        concurrency=2,
        environment=home.environment(CLOUDASSIST_LOG_LEVEL="DEBUG"),
    ) as worker:
        keys = await console.launch(home.marking("sleep 5; echo ok"), *ids(6))
        assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 6}
        assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(6), 1)
        await asyncio.to_thread(eventually, lambda: "claim_not_held" in worker.log)


async def test_script_flush_while_runs_go_on(console: Console, home: Installation, crew: Crew) -> None:
    crew.one()
    keys = await console.launch(home.marking(LINES), *ids(5))
    await console.reaches(keys[-1], RunStatus.RUNNING)

    client = home.valkey.client()
    client.script_flush()
    client.close()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 5}
