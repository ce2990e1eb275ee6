"""A change of a schedule in the store: with its token, in one step."""

from dataclasses import replace

import pytest

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.store.redis_store import RedisStore
from tests.ports.store.scheduling import scheduled, standing, whole


async def modified(
    store: RedisStore, id_: InvokeId, frequency: str, version: int, *, token: str, now_ms: int = 2_000
) -> bool:
    spec: InvocationSpec = replace((await whole(store, id_)).spec, frequency=frequency)
    [due_ms] = await store.schedules.next_of([id_])
    return await store.schedules.modify(
        spec,
        version=version,
        added=[],
        next_ms=30_000,
        tick_ms=30_000,
        now_ms=now_ms,
        overlooked=standing(due_ms),
        token=token,
        request_hash=frequency,
        token_ttl_s=10,
    )


async def test_a_token_is_good_for_one_change_whoever_has_looked_before_it_was_used(
    store: RedisStore,
) -> None:
    id_ = await scheduled(store, "i-1")
    assert await store.invocations.done_by("t", "rate(20s)", now_ms=2_000) is None

    done = [
        await modified(store, id_, "rate(20s)", 1, token="t"),
        await modified(store, id_, "rate(30s)", 2, token="other"),
        await modified(store, id_, "rate(20s)", 3, token="t"),
    ]

    invocation = await whole(store, id_)
    assert done == [True, True, False]
    assert invocation.spec.frequency == "rate(30s)"
    used = await store.invocations.done_by("t", "rate(20s)", now_ms=2_000)
    assert used is not None
    assert (used.invoke_id, used.command_id) == (id_, invocation.spec.command.id)
    with pytest.raises(Refused) as refused:
        await store.invocations.done_by("t", "rate(30s)", now_ms=2_000)
    assert refused.value.kind is Kind.CLIENT_TOKEN_REUSED


async def test_a_token_is_not_used_up_by_a_change_that_came_too_late(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    await modified(store, id_, "rate(30s)", 1, token="other")

    late = await modified(store, id_, "rate(20s)", 1, token="t")

    assert not late
    assert await store.invocations.done_by("t", "rate(20s)", now_ms=2_000) is None
    assert await modified(store, id_, "rate(20s)", 2, token="t")


async def test_a_token_is_remembered_for_its_time(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    await modified(store, id_, "rate(20s)", 1, token="t")

    assert await store.invocations.done_by("t", "rate(20s)", now_ms=11_999)
    assert await store.invocations.done_by("t", "rate(20s)", now_ms=12_000) is None
    assert await modified(store, id_, "rate(30s)", 2, token="t", now_ms=12_000)
