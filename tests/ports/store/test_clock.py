"""The store's time as a process knows it, whatever becomes of the process and of the way there."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudassist_tasks.store.clock import PROMPT_S, StoreClock
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.valkey import ValkeyServer

DRIFT_MS = 1


class World:
    """Two clocks, and a way between them whose delays are given: there and back, in seconds."""

    def __init__(self, *ways: tuple[float, float]) -> None:
        self.local_s = 1_000.0
        self.ahead_s = 5_000_000.0
        self.ways = list(ways)
        self.asked = 0

    @property
    def store_ms(self) -> int:
        return int(1_000 * (self.local_s + self.ahead_s))

    async def call(self, word: str) -> Sequence[bytes]:
        assert word == "TIME"
        self.asked += 1
        there_s, back_s = self.ways.pop(0) if self.ways else (0.0, 0.0)
        self.local_s += there_s
        micros = round(1e6 * (self.local_s + self.ahead_s))
        self.local_s += back_s
        return [b"%d" % (micros // 1_000_000), b"%d" % (micros % 1_000_000)]

    def clock(self) -> StoreClock:
        return StoreClock(self, monotonic_s=lambda: self.local_s)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", [(12.0, 0.0), (0.0, 12.0)], ids=["before", "behind"])
async def test_a_pause_around_the_stores_word_moves_the_clock_by_nothing(way: tuple[float, float]) -> None:
    """Found by simulation: a beat that was stopped for 12 s while it asked fired 6 s too early."""
    world = World((0.0, 0.0), way)
    clock = world.clock()
    await clock.renew()
    await clock.renew()

    assert abs(clock.now_ms() - world.store_ms) <= DRIFT_MS


async def test_the_first_word_is_asked_for_again_when_it_comes_late() -> None:
    world = World((0.0, 9.0), (0.0, 9.0))
    clock = world.clock()

    await clock.renew()

    assert (abs(clock.now_ms() - world.store_ms) <= DRIFT_MS, world.asked) == (True, 3)


async def test_a_step_of_the_stores_clock_is_seen_over_a_slow_way_too() -> None:
    slow = (0.4, 0.4)
    world = World(*[slow] * 6)
    clock = world.clock()
    await clock.renew()
    world.ahead_s += 3_600

    await clock.renew()

    assert abs(clock.now_ms() - world.store_ms) <= DRIFT_MS


@example(ways=[(0, 0.04), *[(3, 0)] * 3])
@example(ways=[(0, 0.012), *[(0.4, 0)] * 3])
@example(ways=[(0.1, 0), *[(0, 3)] * 3])
@given(ways=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30)), max_size=30))
def test_no_delay_on_the_way_makes_a_good_clock_worse(ways: list[tuple[float, float]]) -> None:
    async def renewed() -> None:
        world = World((0.0, 0.0), *ways)
        clock = world.clock()
        while world.ways:
            await clock.renew()
            assert abs(clock.now_ms() - world.store_ms) <= 1_000 * PROMPT_S / 2 + DRIFT_MS

    asyncio.run(renewed())


async def test_the_clock_is_the_server_s_and_does_not_go_back(store: RedisStore) -> None:
    local_s = 1_000.0
    clock = StoreClock(store.link, monotonic_s=lambda: local_s)

    async def server_ms() -> int:
        seconds, micros = await store.link.call("TIME")
        return int(seconds) * 1_000 + int(micros) // 1_000

    before_ms = await server_ms()
    await clock.renew()
    behind_ms = await server_ms()

    first = clock.now_ms()
    local_s += 2.5
    second = clock.now_ms()
    await clock.renew()  # the server's time has hardly moved
    after_ms = await server_ms()
    third = clock.now_ms()

    assert before_ms - 1 <= first <= behind_ms + 1
    assert second == first + 2_500
    assert second <= third <= max(second, after_ms + 1)


async def test_the_clock_renews_itself_when_it_is_used_and_outlives_its_server(
    own_server: ValkeyServer,
) -> None:
    link = Link(own_server.url(), pauses_s=(0.0,))
    local_s = 1_000.0
    clock = StoreClock(link, monotonic_s=lambda: local_s)
    await clock.renew()
    before = link.round_trips
    local_s += 11
    clock.now_ms()
    clock.now_ms()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    renewed = link.round_trips - before
    own_server.kill()

    local_s += 3_600
    later = clock.now_ms()

    assert renewed == 1
    assert later > 3_500_000
    await clock.close()
    await link.close()
