"""Rounds that boots open."""

from typing import Any

from cloudassist_tasks.domain.boot import KnownBoot
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import RepeatMode, Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store.redis_store import RedisStore
from tests.ports.store.scheduling import key, run_to, scheduled, states, whole
from tests.support.store import make

S = RunStatus


async def test_a_boot_opens_one_round_of_its_instance(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2", repeat_mode=RepeatMode.EVERY_REBOOT, frequency="")
    assert sorted(await store.schedules.take_boots(now_ms=1_000, again_ms=61_000, limit=9)) == ["i-1", "i-2"]
    assert await store.schedules.awaiting_boot(InstanceId("i-1")) == [id_]
    assert await store.schedules.note_boot(id_, InstanceId("i-1"), before="", boot="A")

    boot: dict[str, Any] = {"why": Why.BOOT, "batch": 50, "now_ms": 2_000, "boot": ("A", "B")}
    seen = [await store.schedules.open_round(id_, only=InstanceId("i-1"), **boot) for _ in range(2)]
    meanwhile = await states(store, id_)
    await run_to(store, key(id_, "i-1", 1), S.SUCCESS)
    seen.append(await store.schedules.open_round(id_, only=InstanceId("i-1"), **boot))

    assert [one is not None for one in seen] == [True, False, False]
    assert meanwhile == {"i-1": "Pending", "i-2": "Scheduled"}
    assert await store.schedules.known_boot(id_, InstanceId("i-1")) == KnownBoot(word="B")


async def test_the_next_boot_only_ends_an_instance_s_part_with_its_run(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2", repeat_mode=RepeatMode.NEXT_REBOOT_ONLY, frequency="")
    for member in ("i-1", "i-2"):
        await store.schedules.note_boot(id_, InstanceId(member), before="", boot="A")
        await store.schedules.open_round(
            id_,
            why=Why.BOOT,
            batch=50,
            now_ms=2_000,
            only=InstanceId(member),
            boot=("A", "B"),
            last=True,
        )

    await run_to(store, key(id_, "i-1", 1), S.FAILED)
    between = await states(store, id_)
    await run_to(store, key(id_, "i-2", 2), S.SUCCESS)

    assert between == {"i-1": "Failed", "i-2": "Pending"}
    assert await states(store, id_) == {"i-1": "Failed", "i-2": "Success"}
    assert (await whole(store, id_)).finish_ms


async def test_a_launch_on_another_boot_has_the_instance_looked_at(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1")])
    await scheduled(store, "i-1", repeat_mode=RepeatMode.EVERY_REBOOT, frequency="")
    await store.schedules.take_boots(now_ms=1_000, again_ms=61_000, limit=9)
    [once] = await make.opened(store, "i-1")

    await make.launched(store, once, now_ms=5_000)

    assert await store.schedules.take_boots(now_ms=5_000, again_ms=65_000, limit=9) == ["i-1"]
