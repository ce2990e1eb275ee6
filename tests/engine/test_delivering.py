"""Webhooks and callbacks: sent at the close, again where they were not taken, given up, sent anew."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cloudassist_tasks.contract.webhooks import (
    DescribeWebhooks,
    RemoveWebhooks,
    ResendWebhooks,
    RevealWebhookSecret,
    WebhookItem,
    verified,
)
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.delivery import Callback, DeliveryKey, DeliveryKind
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.engine.deliver import deliver_due
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.operations.handling import handle
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation
from tests.support.receiver import Receiver

A_MINUTE_MS = 60_000
A_DAY_MS = 86_400_000


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def console(home: Installation) -> AsyncIterator[Console]:
    """Receivers have time to answer."""
    async with home.console(CLOUDASSIST_WEBHOOK_DEADLINE_S="20") as opened:
        yield opened


@pytest.fixture
async def worker(console: Console) -> Worker:
    """It delivers only when the test says so."""
    return await console.worker()


async def test_the_close_is_posted_once_and_signed(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    invoke_id = await closed(console, receiver.url)

    with receiver.up():
        await delivered(worker)
        await delivered(worker)

    [posted] = receiver.posted
    assert posted.path == "/hook?token=s3cret"
    assert posted.id == f"cb-{invoke_id}"
    assert posted.headers["content-type"] == "application/json"
    assert posted.json["InvokeId"] == invoke_id
    assert posted.json["DeliveryId"] == f"cb-{invoke_id}"
    assert (posted.json["InvocationStatus"], posted.json["InvokeStatus"]) == ("Stopped", "Stopped")
    assert (posted.json["Counts"], posted.json["Total"]) == ({"Cancelled": 1}, 1)
    assert posted.json["FinishTime"]
    secret = (await handle(console.plane, RevealWebhookSecret(), LOCAL)).secret
    now_s = console.clock.now_ms() / 1_000
    signed = posted.headers["x-cloudassist-signature"]
    assert verified(secret, posted.body, signed, now_s=now_s)
    assert not verified(secret, posted.body + b" ", signed, now_s=now_s)
    assert not verified(secret, posted.body, signed, now_s=now_s + 3_600)
    assert not verified("another", posted.body, signed, now_s=now_s)


async def test_a_receiver_that_was_down_gets_it_when_it_is_up(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    invoke_id = await closed(console, receiver.url)
    for _ in range(4):
        await delivered(worker)
        console.clock.ahead_ms += A_MINUTE_MS
    [waiting] = await webhooks(console)
    assert (waiting.invoke_id, waiting.state, waiting.failures) == (invoke_id, "waiting", 4)
    assert waiting.last_error.startswith("cannot connect")
    assert waiting.receiver == f"http://127.0.0.1:{receiver.port}"

    with receiver.up():
        await delivered(worker)

    assert receiver.ids == [f"cb-{invoke_id}"]
    assert not await webhooks(console)


async def test_it_is_not_tried_before_its_time(console: Console, worker: Worker, receiver: Receiver) -> None:
    worker.plane = replace(worker.plane, settings=replace(worker.plane.settings, webhook_retry_s=3_600))
    await closed(console, receiver.url)
    await delivered(worker)

    with receiver.up():
        await delivered(worker)

    assert not receiver.posted


@pytest.mark.parametrize(
    ("status", "location", "said"),
    [(500, "", "it answered 500"), (404, "", "it answered 404"), (302, "http://127.0.0.1:1/", "redirects")],
)
async def test_only_an_answer_of_2xx_is_a_receipt(
    console: Console, worker: Worker, receiver: Receiver, status: int, location: str, said: str
) -> None:
    await closed(console, receiver.url)
    receiver.status, receiver.location = status, location

    with receiver.up():
        await delivered(worker)

    [waiting] = await webhooks(console)
    assert said in waiting.last_error
    assert (waiting.state, len(receiver.posted)) == ("waiting", 1)


async def test_a_receiver_that_is_silent_holds_up_nobody_for_longer_than_the_deadline(
    home: Installation, receiver: Receiver
) -> None:
    silent = Receiver()
    silent.silent.set()
    async with home.console(CLOUDASSIST_WEBHOOK_DEADLINE_S="10") as console:
        worker = await console.worker()
        await closed(console, silent.url)
        prompt = await closed(console, receiver.url)

        with silent.up(), receiver.up():
            await delivered(worker)

        assert receiver.ids == [f"cb-{prompt}"]
        [waiting] = await webhooks(console)
        assert waiting.last_error == "no answer within 10 s"


async def test_a_receiver_that_says_gone_is_not_asked_again(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    await closed(console, receiver.url)
    receiver.status = 410

    with receiver.up():
        await delivered(worker)
        console.clock.ahead_ms += A_DAY_MS
        await delivered(worker)

    [dead] = await webhooks(console)
    assert (dead.state, dead.next_time, len(receiver.posted)) == ("dead", "", 1)


async def test_one_that_was_given_up_is_sent_when_somebody_says_so(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    invoke_id = await closed(console, receiver.url)
    await delivered(worker)
    console.clock.ahead_ms += A_DAY_MS
    await delivered(worker)
    console.clock.ahead_ms += A_DAY_MS
    with receiver.up():
        await delivered(worker)
        [dead] = await webhooks(console, dead=True)
        assert (dead.invoke_id, receiver.posted) == (invoke_id, [])

        resent = await handle(console.plane, ResendWebhooks(all_dead=True), LOCAL)
        await delivered(worker)

    assert (list(resent.invoke_id), receiver.ids) == ([invoke_id], [f"cb-{invoke_id}"])
    assert not await webhooks(console)


async def test_one_that_was_taken_can_be_sent_again(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    invoke_id = await closed(console, receiver.url)
    with receiver.up():
        await delivered(worker)

        await handle(console.plane, ResendWebhooks(invoke_id=[invoke_id]), LOCAL)
        await delivered(worker)

    assert receiver.ids == 2 * [f"cb-{invoke_id}"]


async def test_one_that_is_removed_is_sent_no_more(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    invoke_id = await closed(console, receiver.url)
    await delivered(worker)

    await handle(console.plane, RemoveWebhooks(invoke_id=[invoke_id]), LOCAL)

    console.clock.ahead_ms += A_MINUTE_MS
    with receiver.up():
        await delivered(worker)
    assert not receiver.posted
    with pytest.raises(Refused) as refusal:
        await handle(console.plane, RemoveWebhooks(invoke_id=[invoke_id]), LOCAL)
    assert refusal.value.kind is Kind.WEBHOOK_NOT_FOUND


async def test_there_is_nothing_to_resend_of_an_invocation_without_a_webhook(console: Console) -> None:
    opened = await console.open("true")
    await console.stop(opened.invoke_id)

    for invoke_id in (opened.invoke_id, "t-none"):
        with pytest.raises(Refused) as refusal:
            await handle(console.plane, ResendWebhooks(invoke_id=[invoke_id]), LOCAL)
        assert refusal.value.kind is Kind.WEBHOOK_NOT_FOUND


async def test_a_host_that_is_no_longer_allowed_gets_nothing(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    await closed(console, receiver.url)
    settings = replace(worker.plane.settings, webhook_hosts="hooks.example.com, *.internal")
    worker.plane = replace(worker.plane, settings=settings)

    with receiver.up():
        await delivered(worker)

    [dead] = await webhooks(console)
    assert (dead.state, receiver.posted) == ("dead", [])


async def test_of_two_who_deliver_one_does(console: Console, worker: Worker, receiver: Receiver) -> None:
    other = await console.worker()
    ids = [await closed(console, receiver.url) for _ in range(20)]

    with receiver.up():
        await deliver_due(worker)
        await deliver_due(other)
        await delivered(worker)
        await delivered(other)

    assert sorted(receiver.ids) == sorted(f"cb-{invoke_id}" for invoke_id in ids)


async def test_a_rotated_secret_signs_from_then_on(
    console: Console, worker: Worker, receiver: Receiver
) -> None:
    before = (await handle(console.plane, RevealWebhookSecret(), LOCAL)).secret
    after = (await handle(console.plane, RevealWebhookSecret(rotate=True), LOCAL)).secret
    await closed(console, receiver.url)

    with receiver.up():
        await delivered(worker)

    [posted] = receiver.posted
    signed, now_s = posted.headers["x-cloudassist-signature"], console.clock.now_ms() / 1_000
    assert verified(after, posted.body, signed, now_s=now_s)
    assert not verified(before, posted.body, signed, now_s=now_s)


async def test_a_callback_is_a_task_of_the_other_app(console: Console, worker: Worker) -> None:
    callback = Callback(task="shop.done", queue="shop", kwargs={"order": 7})
    opened = await console.open("true", callback=callback)
    await console.stop(opened.invoke_id)

    await delivered(worker)
    await delivered(worker)

    client = console.home.valkey.client(1)
    [envelope] = [json.loads(text) for text in client.lrange("shop", 0, -1)]
    headers = envelope["headers"]
    assert (headers["task"], headers["id"]) == ("shop.done", f"cb-{opened.invoke_id}")
    assert "order" not in headers["kwargsrepr"]
    [message] = console.home.messages_in("shop")
    assert message.kwargs["order"] == 7
    assert message.kwargs["summary"]["InvokeId"] == opened.invoke_id
    assert message.kwargs["summary"]["InvocationStatus"] == "Stopped"
    key = DeliveryKey(DeliveryKind.CALLBACK, opened.invoke_id)
    assert await console.plane.store.outbox.get(key) is None


async def test_who_closes_says_so_to_who_delivers(console: Console) -> None:
    quiet = await console.open("true")
    await console.stop(quiet.invoke_id)
    assert not console.plane.closed.is_set()

    told = await console.open("true", webhook="http://127.0.0.1:1/")
    await console.stop(told.invoke_id)

    assert console.plane.closed.is_set()


async def closed(console: Console, url: str) -> InvokeId:
    """An invocation with this webhook that was stopped before it began."""
    opened = await console.open("true", webhook=url)
    await console.stop(opened.invoke_id)
    return opened.invoke_id


async def delivered(worker: Worker) -> None:
    """All that is due was tried once."""

    async def is_idle() -> bool:
        return worker.delivering == 0

    await deliver_due(worker)
    await eventually_async(is_idle)


async def webhooks(console: Console, *, dead: bool = False) -> list[WebhookItem]:
    return list((await handle(console.plane, DescribeWebhooks(dead=dead), LOCAL)).webhooks)
