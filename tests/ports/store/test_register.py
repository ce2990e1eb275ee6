"""All instances, as each process remembers them: never older than the store."""

import random

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make
from tests.support.valkey import ValkeyServer


async def test_what_others_change_is_seen_at_the_next_look(
    store: RedisStore, store_server: ValkeyServer
) -> None:
    other = await RedisStore.open(store_server.url())
    await store.instances.add([make.instance("i-10"), make.instance("i-2")])
    assert [one.id for one in await other.instances.all()] == ["i-2", "i-10"]

    changed = make.instance("i-10", name="renamed", tags={"a": "b"})
    await store.instances.add([changed], replace=True)
    await store.instances.add([make.instance("i-1")])
    await store.instances.remove(InstanceId("i-2"))
    await store.instances.record_host_key(InstanceId("i-1"), "key")

    seen = await other.instances.all()
    assert [one.id for one in seen] == ["i-1", "i-10"]
    assert (seen[0].host_key, seen[1]) == ("key", changed)
    await other.close()


async def test_any_changes_leave_both_with_what_the_store_has(
    store: RedisStore, store_server: ValkeyServer
) -> None:
    chance = random.Random(3)
    other = await RedisStore.open(store_server.url())

    for step in range(120):
        id_ = f"i-{chance.randrange(8)}"
        known = await store.instances.get(InstanceId(id_))
        if known is not None and chance.randrange(3) == 0:
            await store.instances.remove(known.id)
        else:
            await store.instances.add([make.instance(id_, name=f"step {step}")], replace=True)
        if chance.randrange(3) == 0:
            ids = [InstanceId(f"i-{n}") for n in range(8)]
            expected = list((await store.instances.get_many(ids)).values())
            assert await other.instances.all() == expected
            assert await store.instances.all() == expected
    await other.close()


async def test_a_store_that_was_emptied_is_read_anew(store: RedisStore) -> None:
    await store.instances.add([make.instance(f"i-{n}") for n in range(3)])
    assert len(await store.instances.all()) == 3

    await store.link.call("FLUSHDB")
    empty = await store.instances.all()
    await store.instances.add([make.instance("i-7")])

    assert empty == []
    assert [one.id for one in await store.instances.all()] == ["i-7"]


async def test_the_second_look_asks_the_store_one_question(store: RedisStore) -> None:
    await store.instances.add([make.instance(f"i-{n}") for n in range(3_000)])
    await store.instances.all()

    before = store.link.round_trips
    every = await store.instances.all()

    assert (len(every), store.link.round_trips - before) == (3_000, 1)
