"""The outbox: what is to be sent at the close, in the step of the close; who may send it, and when again."""

from collections.abc import Awaitable, Callable

import pytest

from cloudassist_tasks.domain.delivery import Callback, DeliveryKey, DeliveryKind
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make

CALLBACK = Callback(task="shop.done", queue="shop", kwargs={"order": 7, "who": "Zoë"})
URL = "http://127.0.0.1:9/hook"


async def finished(store: RedisStore, key: RunKey) -> None:
    await make.finish(store, await make.launched(store, key))


async def cancelled(store: RedisStore, key: RunKey) -> None:
    await store.invocations.stop_runs(
        key.invoke_id, [key.instance_id], round=0, now_ms=3_000, deadline_ms=9_000
    )


async def cancelled_at_its_claim(store: RedisStore, key: RunKey) -> None:
    await store.invocations.mark_stop(key.invoke_id, now_ms=3_000)
    await make.claim(store, key, now_ms=3_000)


async def aborted(store: RedisStore, key: RunKey) -> None:
    outcome = Outcome(status=RunStatus.ABORTED, error_code=ErrorCode.DELIVERY_TIMEOUT)
    await store.invocations.abort_unclaimed(key.invoke_id, [key.instance_id], outcome=outcome, now_ms=3_000)


@pytest.mark.parametrize("close", [finished, cancelled, cancelled_at_its_claim, aborted])
async def test_whatever_closes_an_invocation_puts_its_deliveries_in(
    store: RedisStore, close: Callable[[RedisStore, RunKey], Awaitable[None]]
) -> None:
    [key] = await make.opened(store, "i-1", spec=make.spec(callback=CALLBACK, webhook=URL))
    assert not await due(store, 10_000)

    await close(store, key)

    assert sorted(await due(store, 10_000)) == [
        DeliveryKey(DeliveryKind.CALLBACK, key.invoke_id),
        DeliveryKey(DeliveryKind.WEBHOOK, key.invoke_id),
    ]


async def test_an_invocation_that_tells_nobody_puts_nothing_in(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")

    await finished(store, key)

    assert not await due(store, 10_000)


async def test_only_the_last_run_closes(store: RedisStore) -> None:
    first, last = await make.opened(store, "i-1", "i-2", spec=make.spec(webhook=URL))

    await finished(store, first)
    assert not await due(store, 10_000)
    await finished(store, last)

    assert len(await due(store, 10_000)) == 1


async def test_what_is_to_be_sent_is_kept_as_it_was_asked_for(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1", spec=make.spec(callback=CALLBACK, webhook=URL))

    invocation = await store.invocations.get(key.invoke_id)

    assert invocation is not None
    assert (invocation.spec.callback, invocation.spec.webhook) == (CALLBACK, URL)


async def test_one_has_it_for_a_lease_then_another(store: RedisStore) -> None:
    key = await closed(store)

    first = await due(store, 5_000)
    meanwhile = await due(store, 5_500)
    after_the_lease = await due(store, 6_000)

    assert (first, meanwhile, after_the_lease) == ([key], [], [key])


async def test_what_was_sent_does_not_come_again(store: RedisStore) -> None:
    key = await closed(store)
    await due(store, 5_000)

    removed = await store.outbox.remove(key)
    again = await store.outbox.remove(key)

    assert (removed, again) == (True, False)
    assert not await due(store, 99_000)
    assert await store.outbox.get(key) is None


async def test_a_failure_is_remembered_and_it_is_due_when_the_sender_says(store: RedisStore) -> None:
    key = await closed(store)

    for now_ms in (4_000, 5_000):
        await store.outbox.failed(
            key, error="refused", since_ms=now_ms, next_ms=now_ms + 2_000, now_ms=now_ms
        )

    [waiting] = await store.outbox.waiting(DeliveryKind.WEBHOOK, dead=False, limit=10)
    assert waiting == await store.outbox.get(key)
    assert (waiting.failures, waiting.since_ms, waiting.tried_ms) == (2, 4_000, 5_000)
    assert (waiting.next_ms, waiting.error, waiting.dead) == (7_000, "refused", False)
    assert not await due(store, 6_999)
    assert await due(store, 7_000) == [key]


async def test_one_that_was_given_up_waits_until_it_is_put_in_again(store: RedisStore) -> None:
    key = await closed(store)
    await store.outbox.give_up(key, error="gone", since_ms=3_000, now_ms=4_000)

    [dead] = await store.outbox.waiting(DeliveryKind.WEBHOOK, dead=True, limit=10)
    assert (dead.key, dead.error, dead.dead) == (key, "gone", True)
    assert not await due(store, 99_000)
    assert not await store.outbox.waiting(DeliveryKind.WEBHOOK, dead=False, limit=10)
    await store.outbox.put(key, now_ms=5_000)

    assert not await store.outbox.waiting(DeliveryKind.WEBHOOK, dead=True, limit=10)
    [again] = await store.outbox.waiting(DeliveryKind.WEBHOOK, dead=False, limit=10)
    assert (again.failures, again.next_ms) == (0, 5_000)


async def test_one_that_was_removed_while_it_was_tried_stays_removed(store: RedisStore) -> None:
    key = await closed(store)
    await store.outbox.remove(key)

    await store.outbox.failed(key, error="refused", since_ms=1, next_ms=2, now_ms=1)
    await store.outbox.give_up(key, error="refused", since_ms=1, now_ms=1)

    assert await store.outbox.get(key) is None


async def test_each_kind_is_listed_apart_the_longest_waiting_first(store: RedisStore) -> None:
    for n in range(3):
        await store.outbox.put(DeliveryKey(DeliveryKind.WEBHOOK, f"t-{n}"), now_ms=n)  # type: ignore[arg-type]
        await store.outbox.put(DeliveryKey(DeliveryKind.CALLBACK, f"t-{n}"), now_ms=n)  # type: ignore[arg-type]

    page = await store.outbox.waiting(DeliveryKind.WEBHOOK, dead=False, start=1, limit=5)

    assert [str(one.key) for one in page] == ["webhook.t-1", "webhook.t-2"]


async def test_with_a_forgotten_invocation_its_deliveries_go(store: RedisStore) -> None:
    key = await closed(store)
    await store.outbox.give_up(key, error="gone", since_ms=3_000, now_ms=4_000)

    await store.invocations.forget_older_than(9_000, limit=10)

    assert await store.outbox.get(key) is None
    assert not await store.link.call("KEYS", "ca:delivery:*")


async def test_one_secret_is_kept_whoever_makes_it(store: RedisStore) -> None:
    assert await store.outbox.webhook_secret() is None

    kept = [await store.outbox.keep_webhook_secret(one, instead_of=None) for one in (b"a", b"b")]
    replaced = await store.outbox.keep_webhook_secret(b"c", instead_of=b"a")

    assert (kept, replaced, await store.outbox.webhook_secret()) == ([b"a", b"a"], b"c", b"c")


async def closed(store: RedisStore) -> DeliveryKey:
    """An invocation with a webhook that has ended at 3,000 ms."""
    [key] = await make.opened(store, "i-1", spec=make.spec(webhook=URL))
    await finished(store, key)
    return DeliveryKey(DeliveryKind.WEBHOOK, key.invoke_id)


async def due(store: RedisStore, now_ms: int) -> list[DeliveryKey]:
    return list(await store.outbox.take_due(now_ms=now_ms, lease_ms=1_000, limit=10))
