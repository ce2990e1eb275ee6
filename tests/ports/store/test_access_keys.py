"""Access keys in a real store: found, changed, removed, and never half of one."""

from dataclasses import replace

import pytest

from cloudassist_tasks.domain.access import Policy, Role
from cloudassist_tasks.domain.access_key import AccessKey, AccessKeyId
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.redis_store import RedisStore

POLICY = Policy(actions=("Describe*", "RunCommand"), instance_tags={"env": "test"}, users=("deploy",))


def key(number: int = 1, **fields: object) -> AccessKey:
    made = AccessKey(
        id=AccessKeyId(f"CA{number:018d}"), sealed=b"\x01sealed\xff", role=Role.OPERATOR, created_ms=number
    )
    return replace(made, **fields)  # type: ignore[arg-type]


async def test_a_key_comes_back_as_it_was_added(store: RedisStore) -> None:
    made = key(name="builds", policy=POLICY, disabled=True)

    await store.access_keys.add(made)

    assert made == await store.access_keys.get(made.id)
    assert [made] == await store.access_keys.all()


async def test_keys_are_listed_newest_first_however_many(store: RedisStore) -> None:
    made = [key(number) for number in range(1, 251)]
    for one in made:
        await store.access_keys.add(one)

    assert made[::-1] == await store.access_keys.all()


async def test_a_disabled_key_is_found_disabled(store: RedisStore) -> None:
    await store.access_keys.add(key())

    await store.access_keys.set_disabled(key().id, True)
    disabled = await store.access_keys.get(key().id)
    await store.access_keys.set_disabled(key().id, False)

    assert disabled == key(disabled=True)
    assert key() == await store.access_keys.get(key().id)


async def test_a_rotation_keeps_the_secret_before_it_and_bears_repetition(store: RedisStore) -> None:
    await store.access_keys.add(key())

    for _ in range(2):
        await store.access_keys.rotate(key().id, b"new", earlier_until_ms=900, now_ms=500)

    rotated = await store.access_keys.get(key().id)
    assert rotated == key(sealed=b"new", earlier=key().sealed, earlier_until_ms=900, rotated_ms=500)
    assert rotated is not None
    assert rotated.earlier_serves(899)
    assert not rotated.earlier_serves(900)


async def test_a_secret_that_was_rotated_meanwhile_is_not_sealed_anew(store: RedisStore) -> None:
    await store.access_keys.add(key())
    seen = await store.access_keys.get(key().id)
    assert seen is not None
    await store.access_keys.rotate(key().id, b"new", earlier_until_ms=0, now_ms=500)

    assert not await store.access_keys.reseal(seen, sealed=b"old again", earlier=b"")

    after = await store.access_keys.get(key().id)
    assert after is not None
    assert after.sealed == b"new"
    assert await store.access_keys.reseal(after, sealed=b"other", earlier=b"same")


async def test_nothing_is_left_of_a_removed_key(store: RedisStore) -> None:
    await store.access_keys.add(key())

    await store.access_keys.remove(key().id)
    await store.access_keys.used(key().id, now_ms=5)

    assert await store.access_keys.get(key().id) is None
    assert await store.access_keys.all() == []
    assert await store.link.call("KEYS", "ca:access*") == []


async def test_a_key_that_is_not_there_is_refused(store: RedisStore) -> None:
    missing = key().id

    for step in (
        store.access_keys.remove(missing),
        store.access_keys.set_disabled(missing, True),
        store.access_keys.rotate(missing, b"new", earlier_until_ms=0, now_ms=1),
    ):
        with pytest.raises(Refused) as refusal:
            await step
        assert refusal.value.kind == Kind.ACCESS_KEY_NOT_FOUND


async def test_a_key_whose_policy_cannot_be_read_is_no_key(store: RedisStore) -> None:
    await store.access_keys.add(key(policy=POLICY))
    await store.link.call("HSET", keys.access_key(key().id), "doc", '{"role":"admin"}')

    with pytest.raises(Broken, match="makes no sense"):
        await store.access_keys.get(key().id)
