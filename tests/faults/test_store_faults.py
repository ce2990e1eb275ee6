"""Faults of store and broker: killed, emptied, forgetful. What was acknowledged is there, each script
ran once on its host, every run ends, and the plane heals by itself.
"""

import asyncio
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.insist import insist
from tests.processes.conftest import Crew
from tests.support.celery_worker import celery_worker
from tests.support.eventually import eventually
from tests.support.gates import WHOLE, gated
from tests.support.plane import EXPRESS_QUEUE, RUN_QUEUE, Console, Installation, ids
from tests.support.sentinel import watched_servers
from tests.support.valkey import private_valkey


async def test_store_kill_9_and_restart_loses_nothing(
    console: Console, home: Installation, crew: Crew
) -> None:
    """R3: what was acknowledged is there; what ended meanwhile is recorded once the store is back."""
    crew.one()
    script, gate = gated(home, "killed")
    keys = await console.launch(script + home.marking(), *ids(20))  # marks its end, too
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    home.valkey.kill()
    gate.touch()
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
    home.lose_messages()
    keys = await console.launch(home.marking("echo ok"), *ids(30))
    assert home.lose_messages() == 30

    crew.one()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 30}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}


async def test_an_emptied_broker_database_disturbs_no_run_that_goes_on(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    script, gate = gated(home, "emptied")
    keys = await console.launch(script, *ids(10))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    home.lose_messages()
    gate.touch()
    (later,) = await console.launch(home.marking("echo ok"), "i-20")

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 10}
    assert await console.closed(later.invoke_id, within=40) == {RunStatus.SUCCESS: 1}
    assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(10), 1)
    assert home.marked(later.invoke_id) == {"i-20": 1}
    for key in keys:
        assert await console.output(key) == WHOLE


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
            script, gate = gated(home, "broker")
            going = await caller.launch(script, *ids(10))
            for key in going:
                await caller.reaches(key, RunStatus.RUNNING)
            broker.kill()
            broker.forget()
            broker.start()
            gate.touch()
            later = await caller.launch(home.marking("echo ok"), *ids(10))

            for keys in (waiting, going, later):
                assert await caller.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 10}
                assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(10), 1)
            assert worker.process.poll() is None
        crew.none()


async def test_brpop_window_loss(console: Console, home: Installation, crew: Crew) -> None:
    """The broker has handed the message to a process that never reads it: it is lost, the run is not."""
    worker = crew.one()
    for _ in range(20):
        worker.signal(signal.SIGSTOP)
        (key,) = await console.launch(home.marking())
        if home.messages() == []:
            break  # a BRPOP that stands is served at once
        worker.signal(signal.SIGCONT)  # it was between two of them
        await console.closed(key.invoke_id, within=60)
    else:
        raise AssertionError("no BRPOP of the worker ever stood when it was stopped")
    worker.process.kill()
    worker.process.wait()

    crew.one()

    assert await console.closed(key.invoke_id, within=40) == {RunStatus.SUCCESS: 1}
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_visibility_timeout_shorter_than_the_runs_starts_none_twice(
    console: Console, home: Installation, crew: Crew
) -> None:
    """A second, and runs of longer (5 s and 20 s, scaled down). Two slots, four runs: the messages that wait
    are given out again, and find the claim. The lease is long, so that nothing else sends them again."""
    crew.none()
    script, gate = gated(home, "visibility")
    variables = home.environment(CLOUDASSIST_LOG_LEVEL="DEBUG", CLOUDASSIST_LEASE_S="60")
    with celery_worker("tests.faults.short_visibility", concurrency=2, environment=variables) as worker:
        keys = await console.launch(script, *ids(4))
        begun = partial(home.marked, keys[0].invoke_id)
        await asyncio.to_thread(eventually, lambda: begun().total() == 2, within=60)
        await asyncio.to_thread(eventually, partial(_redelivered, home), within=60)
        gate.touch()

        assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 4}
        await asyncio.to_thread(eventually, lambda: "claim_not_held" in worker.log, within=30)
    assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(4), 1)


def _redelivered(home: Installation) -> bool:
    """Whether the broker has, or has given out, a message for the second time."""
    client = home.valkey.client(1)
    try:
        texts: list[Any] = list(client.hvals("unacked"))
        for queue in (RUN_QUEUE, EXPRESS_QUEUE):
            texts += client.lrange(queue, 0, -1)
    finally:
        client.close()
    return any('"redelivered": true' in text.replace("\\", "") for text in texts)


async def test_script_flush_while_runs_go_on(console: Console, home: Installation, crew: Crew) -> None:
    crew.one()
    script, gate = gated(home, "flush")
    keys = await console.launch(script, *ids(5))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    client = home.valkey.client()
    client.script_flush()
    client.close()
    gate.touch()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 5}
    assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(5), 1)
    for key in keys:
        assert await console.output(key) == WHOLE


# -- a replica takes over


async def test_failover_of_a_replica_by_sentinel_loses_nothing_that_was_replicated(
    home: Installation, crew: Crew
) -> None:
    """Store and broker both: the primary is killed while scripts run and others wait."""
    crew.none()
    script, gate = gated(home, "failover")
    with watched_servers() as servers:
        urls = {"CLOUDASSIST_REDIS_URL": servers.url(), "CLOUDASSIST_BROKER_URL": ""}
        async with home.console(
            10, emptied=False, CLOUDASSIST_REDIS_URL=servers.url(), CLOUDASSIST_BROKER_URL=""
        ) as console:
            worker = await asyncio.to_thread(partial(crew.another, "custom", concurrency=200, **urls))
            going = await console.launch(script, *ids(5))
            for key in going:
                await console.reaches(key, RunStatus.RUNNING, within=40)
            await asyncio.to_thread(servers.replicate)

            await asyncio.to_thread(servers.fail_over)
            gate.touch()
            later = await insist(
                partial(console.launch, home.marking("echo ok"), *ids(10), token="t", request_hash="t")
            )
            assert await console.closed(going[0].invoke_id, within=60) == {RunStatus.SUCCESS: 5}
            assert await console.closed(later[0].invoke_id, within=60) == {RunStatus.SUCCESS: 10}

            await asyncio.to_thread(servers.primary.start)
            await asyncio.to_thread(
                eventually, lambda: servers.role_of(servers.primary) == "slave", within=60
            )
            (last,) = await console.launch(home.marking("echo ok"))
            await console.reaches(last, RunStatus.SUCCESS, within=40)

            assert worker.process.poll() is None
            assert home.marked(going[0].invoke_id) == dict.fromkeys(ids(5), 1)
            assert home.marked(later[0].invoke_id) == dict.fromkeys(ids(10), 1)
            for key in going:
                assert await console.output(key) == WHOLE
        crew.none()
