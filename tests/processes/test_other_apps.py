"""Other apps on the broker, and over HTTP: they ask, and are called back once, whatever dies."""

import json
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.events import EventReceiver

from cloudassist_tasks.contract.invocations import RunCommand, StopInvocation
from cloudassist_tasks.contract.webhooks import RevealWebhookSecret
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.delivery import DeliveryKey, DeliveryKind
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.events import OLDEST, EventKind
from cloudassist_tasks.tasks.enqueue import enqueue
from tests.processes.other_apps import Home, Patching, Shop
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.plane import Console, private_installation
from tests.support.valkey import private_valkey


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with private_installation() as made, private_valkey() as broker:
        home = Home.__new__(Home)
        home.__dict__.update(made.__dict__)
        home.broker = broker
        yield home


@pytest.fixture
async def console(home: Home) -> AsyncIterator[Console]:
    home.broker.client().flushall()
    async with home.console(3) as opened:
        yield opened


@pytest.fixture
def shop(home: Home, console: Console) -> Iterator[Shop]:
    with tempfile.TemporaryDirectory() as directory:
        shop = Shop(home, Path(directory))
        try:
            yield shop
        finally:
            shop.close()
            print(Path(shop.log.name).read_text(errors="replace"))


async def test_a_celery_app_asks_and_is_called_back_once(home: Home, console: Console, shop: Shop) -> None:
    with home.worker():
        number = shop.order(home.marking("echo ok"), "i-1", "i-2", "i-3")
        await told(shop, 1)

        [(callback_id, of, state)] = shop.told()
        assert (of, state) == (number, "Success")
        invoke_id = InvokeId(callback_id.removeprefix("cb-"))
        assert await console.closed(invoke_id) == {RunStatus.SUCCESS: 3}
        assert set(home.marked(invoke_id).values()) == {1}

        again(shop, callback_id, number)  # as if the worker had died before it could note that it was sent

        await log_of(shop, f"shop.done[{callback_id}] succeeded", 2)
        assert len(shop.told()) == 1


async def test_the_closing_worker_is_killed_between_the_close_and_the_callback(
    home: Home, console: Console, shop: Shop
) -> None:
    gate = home.directory / "gate"
    script = home.marking(until(gate))
    with home.worker() as worker:
        number = shop.order(script, "i-1")
        key = await only_run(console)
        await console.reaches(key, RunStatus.RUNNING)
        home.broker.stop()  # nothing can be published from here on
        gate.touch()
        await console.closed(key.invoke_id)
        delivery = DeliveryKey(DeliveryKind.CALLBACK, key.invoke_id)
        assert await console.plane.store.outbox.get(delivery) is not None
        worker.process.kill()
        worker.process.wait()
    home.broker.start()
    assert not shop.told()

    with home.worker():
        await told(shop, 1, within=60)
        await eventually_async(partial(is_sent, console, delivery), within=20)

    assert shop.told() == [(f"cb-{key.invoke_id}", number, "Success")]
    assert shop.said(f"shop.done[cb-{key.invoke_id}] received") == 1
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_an_app_that_says_nothing_of_queues_is_served_and_keeps_its_own_messages(
    home: Home, console: Console, tmp_path: Path
) -> None:
    """Both go to Celery's default queue: the request, and the callback for an app that is not up yet."""
    app = Celery("plain", broker=home.broker.broker_url(0))
    asked = {"Type": "RunShellScript", "CommandContent": home.marking(), "EnableParameter": True}
    with home.worker():
        app.send_task(
            "cloudassist.invoke",
            kwargs={
                "operation": "RunCommand",
                "parameters": asked | {"InstanceId": ["i-1"]},
                "callback": {"task": "shop.done", "kwargs": {"number": "7"}},
            },
        )
        key = await only_run(console)
        assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}
        delivery = DeliveryKey(DeliveryKind.CALLBACK, key.invoke_id)
        await eventually_async(partial(is_sent, console, delivery), within=20)

        shop = Shop(home, tmp_path, queue="celery")
        try:
            await told(shop, 1, within=60)
        finally:
            shop.close()
    app.close()

    assert shop.told() == [(f"cb-{key.invoke_id}", "7", "Success")]


async def test_a_message_that_comes_twice_opens_nothing_new(home: Home, console: Console, shop: Shop) -> None:
    request = RunCommand(
        type="RunShellScript",
        command_content=home.marking(),
        enable_parameter=True,
        instance_id=["i-1"],
    )
    callback = {"task": "shop.done", "queue": "shop", "kwargs": {"number": "n-1"}}
    message_id = str(uuid.uuid4())
    for _ in range(2):
        enqueue(shop.app, request, callback=callback, task_id=message_id)

    with home.worker() as worker:
        await told(shop, 1)
        await eventually_async(partial(nothing_waits, home), within=20)
        key = await only_run(console)

        assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}
        assert home.marked(key.invoke_id) == {"i-1": 1}
        assert "message_refused" not in worker.log


async def test_what_is_refused_is_told_to_the_callback(home: Home, console: Console, shop: Shop) -> None:
    callback = {"task": "shop.done", "queue": "shop", "kwargs": {"number": "n-2"}}
    unknown = RunCommand(type="RunShellScript", command_content="true", instance_id=["i-9"])
    with home.worker() as worker:
        first = enqueue(shop.app, unknown, callback=callback)
        second = enqueue(shop.app, StopInvocation(invoke_id="t-1"), callback=callback)
        enqueue(shop.app, unknown, callback={"task": "cloudassist.invoke"})
        shop.app.send_task("cloudassist.invoke", kwargs={"x": 1}, queue="cloudassist.invoke")

        await told(shop, 2)
        await eventually_async(partial(has_logged, worker, "message_refused", 4), within=20)

    assert sorted(shop.told()) == sorted(
        [
            (f"cb-{first}", "n-2", "refused: InvalidInstance.NotFound"),
            (f"cb-{second}", "n-2", "refused: InvalidParameter"),
        ]
    )


@pytest.mark.parametrize("pool", ["threads", "prefork"])
async def test_stock_pools_take_messages_and_tell_too(home: Home, console: Console, pool: str) -> None:
    app = Celery("test", broker=home.broker.broker_url(0))
    request = RunCommand(type="RunShellScript", command_content="true", instance_id=["i-1"])
    with home.worker(pool, concurrency=2):
        enqueue(app, request, callback={"task": "shop.done", "queue": "nobody"})
        key = await only_run(console)
        await console.closed(key.invoke_id)
        delivery = DeliveryKey(DeliveryKind.CALLBACK, key.invoke_id)
        await eventually_async(partial(is_sent, console, delivery), within=20)

    assert home.broker.client().llen("nobody") == 1


async def test_a_message_is_audited_and_bound_to_a_role(home: Home, console: Console, shop: Shop) -> None:
    request = RunCommand(type="RunShellScript", command_content="true", instance_id=["i-1"])
    callback = {"task": "shop.done", "queue": "shop", "kwargs": {"number": "n-3"}}
    with home.worker(CLOUDASSIST_BROKER_ROLE="viewer"):
        enqueue(shop.app, request, callback=callback)
        await told(shop, 1)

    [(_, _, state)] = shop.told()
    assert state == "refused: Forbidden.RAM"


async def test_no_script_of_a_message_is_shown(home: Home, console: Console, shop: Shop) -> None:
    marker = f"marker-{uuid.uuid4().hex}"
    parameters = {"Type": "RunShellScript", "CommandContent": f"true # {marker}", "InstanceId": ["i-1"]}
    with home.worker() as worker, captured_events(shop.app) as seen:
        shop.app.send_task(
            "cloudassist.invoke",
            kwargs={"operation": "RunCommand", "parameters": parameters},
            queue="cloudassist.invoke",
        )
        key = await only_run(console)
        await console.closed(key.invoke_id)
        await eventually_async(partial(has_seen, seen, "cloudassist.invoke"), within=20)

        assert marker not in json.dumps(seen, default=str)
        assert marker not in worker.log


async def test_a_webhook_receiver_that_was_down_is_told_once(home: Home, console: Console) -> None:
    secret = (await handle(console.plane, RevealWebhookSecret(), LOCAL)).secret
    gate = home.directory / "receiver-down"
    script = until(gate)
    with home.worker(), tempfile.TemporaryDirectory() as directory:
        patching = Patching(home, Path(directory), secret)
        with patching.up():
            invoke_id = InvokeId(patching.post("/patches", script=script, instances=["i-1"])["id"])
        gate.touch()
        await console.closed(invoke_id)
        delivery = DeliveryKey(DeliveryKind.WEBHOOK, invoke_id)
        await eventually_async(partial(has_failed, console, delivery, 3), within=30)

        with patching.up():
            await eventually_async(partial(is_sent, console, delivery), within=30)
            assert patching.get(f"/patches/{invoke_id}") == {"id": invoke_id, "state": "Success", "told": 1}

            forged = patching.request("/done", json.dumps({"InvokeId": "t-x"}).encode(), signed="t=1,v1=0")
            assert forged == 401


async def test_events_tell_of_all_that_happened(home: Home, console: Console) -> None:
    with home.worker():
        keys = await console.launch("echo ok", "i-1", "i-2", "i-3")
        await console.closed(keys[0].invoke_id)

    events = (await console.plane.store.events.after(OLDEST, invoke_id=keys[0].invoke_id)).events
    assert [events[0].kind, events[-1].kind] == [EventKind.OPENED, EventKind.CLOSED]
    ends = [event.instance_id for event in events if event.status is RunStatus.SUCCESS]
    assert sorted(str(one) for one in ends) == ["i-1", "i-2", "i-3"]


@contextmanager
def captured_events(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """What Flower would see; it sees something when the block begins."""
    seen: list[dict[str, Any]] = []
    receivers: list[EventReceiver] = []

    def listen() -> None:
        with app.connection_for_read() as connection:
            receivers.append(app.events.Receiver(connection, handlers={"*": seen.append}))
            receivers[0].capture()  # in one piece: what is sent while it connects again goes by unseen

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        eventually(lambda: seen)  # every worker sends heartbeats
        yield seen
    finally:
        receivers[0].should_stop = True
        thread.join()


def again(shop: Shop, callback_id: str, number: str) -> None:
    """The callback, a second time."""
    shop.app.send_task(
        "shop.done", kwargs={"number": number, "summary": {"InvocationStatus": "Success"}},
        task_id=callback_id, queue="shop",
    )  # fmt: skip


async def told(shop: Shop, times: int, within: float = 40) -> None:
    await holds(lambda: len(shop.told()) >= times, within)


async def log_of(shop: Shop, words: str, times: int) -> None:
    await holds(lambda: shop.said(words) >= times, 20)


async def holds(condition: Callable[[], bool], within: float) -> None:
    async def is_true() -> bool:
        return condition()

    await eventually_async(is_true, within=within, every=0.05)


async def only_run(console: Console) -> RunKey:
    """Of the one invocation that there is, on i-1."""

    async def newest() -> bool:
        happened = await console.plane.store.events.after(OLDEST)
        return any(event.kind is EventKind.OPENED for event in happened.events)

    await eventually_async(newest, within=30)
    events = (await console.plane.store.events.after(OLDEST)).events
    [invoke_id] = {event.invoke_id for event in events}
    return RunKey(invoke_id, InstanceId("i-1"))


async def is_sent(console: Console, delivery: DeliveryKey) -> bool:
    return await console.plane.store.outbox.get(delivery) is None


async def has_failed(console: Console, delivery: DeliveryKey, times: int) -> bool:
    waiting = await console.plane.store.outbox.get(delivery)
    return waiting is not None and waiting.failures >= times


async def has_logged(worker: CeleryWorker, words: str, times: int) -> bool:
    return worker.log.count(words) >= times


async def has_seen(seen: list[dict[str, Any]], task: str) -> bool:
    return any(event.get("name") == task for event in seen)


async def nothing_waits(home: Home) -> bool:
    client = home.broker.client()
    try:
        return not client.llen("cloudassist.invoke") and not client.hlen("unacked")
    finally:
        client.close()
