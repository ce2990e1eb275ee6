"""Tags that change: one step, against what they were, and nothing is left of them when the thing is gone."""

import asyncio

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.listing import InvocationFilter
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make

I_1 = InstanceId("i-1")
ABORTED = Outcome(status=RunStatus.ABORTED, error_code=ErrorCode.DELIVERY_TIMEOUT)


async def test_a_change_of_tags_that_are_not_those_any_more_is_refused(store: RedisStore) -> None:
    opened = await store.invocations.open(make.opening("i-1", spec=make.spec(tags={"a": "1"})), now_ms=1_000)
    await store.instances.add([make.instance("i-1", tags={"a": "1"})])
    invocation, instance = opened.invoke_id, I_1

    wrong = [
        await store.tags.retag_invocation(invocation, before={"a": "0"}, after={"b": "1"}),
        await store.tags.retag_instance(instance, before={"a": "0"}, after={"b": "1"}),
    ]
    right = [
        await store.tags.retag_invocation(invocation, before={"a": "1"}, after={"a": "2"}),
        await store.tags.retag_instance(instance, before={"a": "1"}, after={"a": "2"}),
    ]
    late = [
        await store.tags.retag_invocation(invocation, before={"a": "1"}, after={"b": "1"}),
        await store.tags.retag_instance(instance, before={"a": "1"}, after={"b": "1"}),
    ]

    assert (wrong, right, late) == ([False] * 2, [True] * 2, [False] * 2)
    found = await store.invocations.get(invocation)
    assert found is not None
    assert found.spec.tags == {"a": "2"}
    known = await store.instances.get(instance)
    assert known is not None
    assert known.tags == {"a": "2"}


async def test_of_many_that_change_the_same_tags_at_once_each_is_one_step(store: RedisStore) -> None:
    opened = await store.invocations.open(make.opening("i-1"), now_ms=1_000)

    done = await asyncio.gather(
        *(store.tags.retag_invocation(opened.invoke_id, before={}, after={"n": str(n)}) for n in range(10))
    )

    assert sum(done) == 1
    winner = {"n": str(done.index(True))}
    page = await store.invocations.page(InvocationFilter(tags=winner), limit=10)
    assert [one.spec.tags for one in page.items] == [winner]
    others = [{"n": str(n)} for n in range(10) if {"n": str(n)} != winner]
    for tags in others:
        assert (await store.invocations.page(InvocationFilter(tags=tags), limit=10)).items == []


async def test_nothing_is_left_of_changed_tags_when_the_invocation_is_forgotten(store: RedisStore) -> None:
    opened = await store.invocations.open(
        make.opening("i-1", spec=make.spec(tags={"old": "1"})), now_ms=1_000
    )
    await store.tags.retag_invocation(opened.invoke_id, before={"old": "1"}, after={"new": "2"})
    await store.tags.retag_invocation(opened.invoke_id, before={"new": "2"}, after={"newest": "3"})
    await store.invocations.abort_unclaimed(opened.invoke_id, [I_1], outcome=ABORTED, now_ms=2_000)

    forgotten = await store.invocations.forget_older_than(1_000_000, limit=10)

    left = [key.decode() for key in await store.link.call("KEYS", "*") if b"tag" in key]
    assert (forgotten, left) == (1, [])
    assert not await store.tags.retag_invocation(opened.invoke_id, before={"newest": "3"}, after={})
