"""Nonces of signed requests."""

import asyncio

from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.eventually import eventually_async

LONG_MS = 60_000


async def test_a_nonce_is_new_to_one_caller_only(store: RedisStore) -> None:
    found = await asyncio.gather(
        *[store.nonces.first_use("key", "nonce", keep_ms=LONG_MS) for _ in range(20)]
    )

    assert found.count(True) == 1


async def test_each_key_has_nonces_of_its_own(store: RedisStore) -> None:
    assert await store.nonces.first_use("one", "nonce", keep_ms=LONG_MS)
    assert await store.nonces.first_use("two", "nonce", keep_ms=LONG_MS)
    assert await store.nonces.first_use("one", "another", keep_ms=LONG_MS)
    assert not await store.nonces.first_use("one", "nonce", keep_ms=LONG_MS)


async def test_a_nonce_is_forgotten_in_time(store: RedisStore) -> None:
    assert await store.nonces.first_use("key", "nonce", keep_ms=1)

    await eventually_async(lambda: store.nonces.first_use("key", "nonce", keep_ms=LONG_MS))


async def test_no_nonce_is_too_odd_to_be_kept(store: RedisStore) -> None:
    for odd in ("", "\udc80", "\0", "名" * 1_000):
        assert await store.nonces.first_use("key", odd, keep_ms=LONG_MS)
        assert not await store.nonces.first_use("key", odd, keep_ms=LONG_MS)
