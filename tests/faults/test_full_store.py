"""A store whose memory is used up, with `noeviction`: new work is refused at every door, what is open ends,
and the plane heals by itself once there is room.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from unittest.mock import patch

import pytest
from celery import Celery

from cloudassist_tasks import Client, RunCommand, runtime
from cloudassist_tasks.contract.errors import describe_error
from cloudassist_tasks.domain.errors import CloudAssistError, Kind, Refused
from cloudassist_tasks.domain.invocation import RepeatMode
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store import keys as store_keys
from cloudassist_tasks.tasks.enqueue import enqueue
from tests.faults.soon import opened_soon
from tests.processes.conftest import Crew
from tests.support.command_line import COMMAND
from tests.support.endpoint import Endpoint, served
from tests.support.eventually import eventually
from tests.support.gates import WHOLE, gated
from tests.support.plane import Console, Installation, ids
from tests.support.raw_http import call
from tests.support.valkey import private_valkey


@pytest.fixture
def full(home: Installation) -> Iterator[Callable[[bool], None]]:
    """Whether the server has memory left: all that it has is taken, or it has as much as it wants."""

    def take(away: bool) -> None:
        client = home.valkey.client()
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1 if away else 0)
        client.close()

    yield take
    take(False)


@pytest.fixture
def endpoint(home: Installation, crew: Crew) -> Iterator[Endpoint]:
    """An endpoint in front of the installation, which has a worker."""
    crew.one()
    variables = home.environment()
    with patch.dict(os.environ, variables), Client() as client, served(variables, client) as endpoint:
        yield endpoint
    runtime.close()


async def test_maxmemory_reached_what_is_open_ends_and_the_plane_heals_by_itself(
    console: Console, home: Installation, crew: Crew, full: Callable[[bool], None]
) -> None:
    crew.none()
    worker = await asyncio.to_thread(partial(crew.another, CLOUDASSIST_LEASE_S="30"))
    script, gate = gated(home, "full")
    going = await console.launch(script, *ids(5))
    stopped = await console.launch(home.marking("sleep 300"), *ids(2))
    for key in [*going, *stopped]:
        await console.reaches(key, RunStatus.RUNNING)
    worker.signal(signal.SIGSTOP)
    waiting = await console.launch(home.marking("echo ok"), *ids(10))

    full(True)
    worker.signal(signal.SIGCONT)
    gate.touch()
    assert await console.closed(going[0].invoke_id, within=60) == {RunStatus.SUCCESS: 5}
    await console.stop(stopped[0].invoke_id)
    assert await console.closed(stopped[0].invoke_id, within=60) == {RunStatus.TERMINATED: 2}
    with pytest.raises(Refused) as refused:
        await console.launch(home.marking("echo ok"))
    full(False)

    assert refused.value.kind is Kind.STORE_FULL
    assert await console.closed(waiting[0].invoke_id, within=90) == {RunStatus.SUCCESS: 10}
    assert home.marked(waiting[0].invoke_id) == dict.fromkeys(ids(10), 1)
    for key in going:
        assert await console.output(key) == WHOLE
    assert worker.process.poll() is None
    crew.none()


def test_maxmemory_reached_new_work_is_refused_at_every_door(
    console: Console, home: Installation, endpoint: Endpoint, full: Callable[[bool], None]
) -> None:
    """503 with the time after which to try again; the same words in the client and on the command line. Who
    reads or stops is served."""
    script = base64.b64encode(home.marking("sleep 300").encode()).decode()
    work = {"Type": "RunShellScript", "CommandContent": script, "ContentEncoding": "Base64"}
    work |= {"InstanceId.1": "i-1", "EnableParameter": "true"}
    request = RunCommand(type="RunShellScript", command_content="true", instance_id=["i-1"])

    going = call(endpoint, "RunCommand", work | {"Timeout": "600"})
    full(True)
    answer = call(endpoint, "RunCommand", work)
    key = (endpoint.key.id, endpoint.key.secret)
    with Client(endpoint.url, key) as away, pytest.raises(CloudAssistError) as there:
        away.send(request)
    with pytest.raises(CloudAssistError) as here:
        endpoint.client.send(request)
    done = subprocess.run(
        [*COMMAND, "run", "true", "-i", "i-1"],
        env={**os.environ, **home.environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    read = call(endpoint, "DescribeInvocations", {})
    stopped = call(endpoint, "StopInvocation", {"InvokeId": going.json["InvokeId"]})
    full(False)

    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert int(answer.headers["retry-after"]) >= 1
    for error in (there.value, here.value):
        assert describe_error(error).startswith("ServiceUnavailable: the store at ")
        assert error.retry_helps
    assert done.returncode != 0
    assert "ServiceUnavailable" in done.stderr
    assert "maxmemory" in done.stderr
    assert (read.status, stopped.status) == (200, 200)
    eventually(lambda: call(endpoint, "RunCommand", work | {"Timeout": "10"}).status == 200, within=60)


async def test_maxmemory_reached_a_message_of_another_app_is_refused_and_its_callback_told(
    console: Console, home: Installation, crew: Crew, full: Callable[[bool], None]
) -> None:
    """The broker is a server of its own, which has room."""
    crew.none()
    request = RunCommand(type="RunShellScript", command_content="true", instance_id=["i-1"])
    with private_valkey() as broker, Celery("shop", broker=broker.broker_url(1)) as shop:
        url = broker.broker_url(1)
        worker = await asyncio.to_thread(partial(crew.another, CLOUDASSIST_BROKER_URL=url))
        before = _opened_so_far(home)

        full(True)
        enqueue(shop, request, callback={"task": "shop.done", "queue": "shop", "kwargs": {"number": "n-1"}})
        client = broker.client(1)
        await asyncio.to_thread(eventually, lambda: client.llen("shop") == 1, within=60)
        (told,) = client.lrange("shop", 0, -1)
        refused = _opened_so_far(home) == before
        full(False)

        def taken() -> bool:  # whether there is room is asked once a second
            enqueue(shop, request)
            return _opened_so_far(home) > before

        await asyncio.to_thread(eventually, taken, within=60, every=0.5)

        client.close()
        crew.none()
    assert refused
    assert "message_refused" in worker.log
    assert b"ServiceUnavailable" in base64.b64decode(json.loads(told)["body"])


async def test_maxmemory_reached_a_message_that_waits_in_the_same_server_is_lost_to_nobody(
    console: Console, home: Installation, crew: Crew, full: Callable[[bool], None]
) -> None:
    """It is taken while that server is full: it is refused, and its callback told once there is room."""
    worker = crew.one()
    request = RunCommand(type="RunShellScript", command_content="true", instance_id=["i-1"])
    broker = home.valkey.client(1)
    with Celery("shop", broker=home.valkey.broker_url(1)) as shop:
        worker.signal(signal.SIGSTOP)
        enqueue(shop, request, callback={"task": "shop.done", "queue": "shop", "kwargs": {}})

        full(True)
        worker.signal(signal.SIGCONT)
        await asyncio.to_thread(eventually, lambda: "message_refused" in worker.log, within=60)
        full(False)

        await asyncio.to_thread(eventually, lambda: broker.llen("shop") == 1, within=60)
        await asyncio.to_thread(eventually, lambda: broker.hlen("unacked") == 0, within=60)
    broker.close()
    assert worker.process.poll() is None


def _opened_so_far(home: Installation) -> int:
    client = home.valkey.client()
    try:
        return int(client.zcard(store_keys.INVOCATIONS))
    finally:
        client.close()


async def test_maxmemory_reached_a_time_of_a_schedule_waits_for_room(
    console: Console, home: Installation, crew: Crew, full: Callable[[bool], None]
) -> None:
    """A beat opens nothing, says so, and opens it once there is room: late, but no time is lost."""
    crew.one()
    opened = await opened_soon(
        lambda at: console.open(home.marking(), repeat_mode=RepeatMode.PERIOD, frequency=at)
    )
    full(True)
    with home.beat(CLOUDASSIST_LATE_S="600"):
        await asyncio.to_thread(eventually, partial(_a_tick_failed, home), within=60)
        before = await console.plane.store.schedules.round_count(opened.invoke_id)
        full(False)
        await asyncio.to_thread(eventually, lambda: home.marked(opened.invoke_id), within=60)

        assert await console.closed(opened.invoke_id, within=60) == {RunStatus.SUCCESS: 1}
    assert before == 0
    assert await console.plane.store.schedules.round_count(opened.invoke_id) == 1
    assert home.marked(opened.invoke_id) == {"i-1": 1}


def _a_tick_failed(home: Installation) -> bool:
    """Whether a beat says that it could open no round, and why."""
    lines = [line for log in home.directory.glob("beat-*.log") for line in log.read_text().splitlines()]
    return any("tick_failed" in line and "maxmemory" in line for line in lines)
