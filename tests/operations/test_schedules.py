"""Schedules and their rounds as they are shown, whatever moves meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import cycle
from typing import Any

import pytest

from cloudassist_tasks.contract.invocations import DescribeInvocationResults
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.schedules import DescribeRounds, DescribeSchedules, ScheduleItem
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Invocation, RepeatMode, Repetition, Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.schedules import Overlooked
from cloudassist_tasks.ports.store import Store
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.listing import end
from tests.support.store import make
from tests.support.valkey import ValkeyServer

NEXT_MS = 10_000


async def scheduled(plane: Plane, rounds: int = 0) -> InvokeId:
    """With so many rounds that are over."""
    spec = make.spec(repeat_mode=RepeatMode.PERIOD, frequency="rate(10s)", zone="UTC")
    await make.opened(plane.store, spec=spec, due_ms=NEXT_MS, tick_ms=NEXT_MS)
    for _ in range(rounds):
        await one_more(plane, spec.id)
    return spec.id


async def one_more(plane: Plane, invoke_id: InvokeId) -> None:
    await a_round_is_opened(plane.store, invoke_id)
    await it_ends(plane.store, invoke_id)


async def a_round_is_opened(store: Store, invoke_id: InvokeId) -> None:
    await store.schedules.open_round(invoke_id, why=Why.ASKED, batch=9, now_ms=3_000)


async def it_ends(store: Store, invoke_id: InvokeId) -> None:
    whole = await store.invocations.get(invoke_id)
    assert whole is not None
    assert whole.repetition is not None
    await end(store, invoke_id, "i-1", RunStatus.SUCCESS, round=whole.repetition.rounds)


async def it_is_paused(store: Store, invoke_id: InvokeId) -> None:
    await store.schedules.pause(invoke_id, Overlooked(due_ms=NEXT_MS), now_ms=4_000)


async def it_goes_on(store: Store, invoke_id: InvokeId) -> None:
    await store.schedules.resume(invoke_id, Repetition(), next_ms=NEXT_MS, tick_ms=NEXT_MS, now_ms=5_000)


STEPS = (a_round_is_opened, it_ends, it_is_paused, it_goes_on)


async def answer(plane: Plane, request: Operation[Any]) -> Any:
    return await handle(plane, request, LOCAL)


@pytest.fixture
def _opening(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is opened whenever rounds have been read, three times."""
    schedules = type(plane.store.schedules)
    rounds, others = schedules.rounds, iter(range(3))

    async def meanwhile(self: Any, invoke_id: InvokeId, **part: Any) -> Sequence[Invocation]:
        found = await rounds(self, invoke_id, **part)
        if next(others, None) is not None:
            await one_more(plane, invoke_id)
        return found

    monkeypatch.setattr(schedules, "rounds", meanwhile)


@pytest.mark.usefixtures("_opening")
async def test_the_history_has_each_run_once_while_rounds_are_opened(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudassist_tasks.operations.history.ROUNDS", 2)
    invoke_id = await scheduled(plane, 5)
    request = DescribeInvocationResults(invoke_id=invoke_id, include_history=True)

    found = (await answer(plane, request)).invocation

    assert [one.repeats for one in found.invocation_results] == [5, 4, 3, 2, 1]
    assert found.total_count == 5


@pytest.mark.usefixtures("_opening")
async def test_the_rounds_come_once_each_in_pages_while_others_are_opened(plane: Plane) -> None:
    invoke_id = await scheduled(plane, 5)

    pages: list[list[int]] = []
    start = 0
    while not pages or start:
        found = await answer(plane, DescribeRounds(invoke_id=invoke_id, limit=2, start=start))
        pages.append([one.round for one in found.rounds])
        start = found.next_start

    assert pages == [[5, 4], [3, 2], [1]]


@pytest.mark.usefixtures("_opening")
async def test_the_last_page_of_rounds_says_so_while_others_are_opened(plane: Plane) -> None:
    invoke_id = await scheduled(plane, 2)

    found = await answer(plane, DescribeRounds(invoke_id=invoke_id, limit=2))

    assert ([one.round for one in found.rounds], found.next_start) == ([2, 1], 0)


@pytest.fixture
def link(plane: Plane) -> Link:
    """The plane's, to its store."""
    assert isinstance(plane.store, RedisStore)
    return plane.store.link


@pytest.fixture
async def other(store_server: ValkeyServer) -> AsyncIterator[RedisStore]:
    """The same store in other hands."""
    opened = await RedisStore.open(store_server.url(0))
    yield opened
    await opened.close()


def after_each_answer(
    monkeypatch: pytest.MonkeyPatch, link: Link, act: Callable[[], Awaitable[object]]
) -> None:
    """Somebody else acts whenever the store has been asked something, one step after the other."""
    batch, scripts, in_turn = link.batch, link.scripts, asyncio.Lock()

    async def batch_then(commands: Any) -> Any:
        found = await batch(commands)
        async with in_turn:
            await act()
        return found

    async def scripts_then(name: str, calls: Any) -> Any:
        found = await scripts(name, calls)
        async with in_turn:
            await act()
        return found

    monkeypatch.setattr(link, "batch", batch_then)
    monkeypatch.setattr(link, "scripts", scripts_then)


def agrees(item: ScheduleItem) -> bool:
    """What it says of its rounds, of its state and of its next time fits together."""
    is_over = item.last is None or bool(item.last.finish_time)
    return (
        item.rounds == (item.last.round if item.last else 0)
        and (item.state == "active") == bool(item.next_time)
        and (item.invocation_status == "Scheduled") == is_over
    )


async def test_a_schedule_is_shown_as_of_one_moment(
    plane: Plane, link: Link, other: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = await scheduled(plane)
    steps = cycle(STEPS)
    after_each_answer(monkeypatch, link, lambda: next(steps)(other, invoke_id))

    shown: list[ScheduleItem] = []
    for _ in STEPS:
        shown += (await answer(plane, DescribeSchedules(invoke_id=invoke_id))).schedules
        shown += (await answer(plane, DescribeSchedules())).schedules

    assert len(shown) == 2 * len(STEPS)
    assert [one for one in shown if not agrees(one)] == []


async def test_many_schedules_are_listed_in_as_many_trips_as_one(plane: Plane, link: Link) -> None:
    async def trips() -> int:
        before = link.round_trips
        await answer(plane, DescribeSchedules())
        return link.round_trips - before

    await scheduled(plane, 1)
    await trips()
    of_one = await trips()
    for _ in range(9):
        await scheduled(plane, 1)
    await trips()

    assert await trips() == of_one
