"""Rounds of a schedule, page by page, while others are opened: each comes once."""

from collections.abc import Sequence
from typing import Any

import pytest

from cloudassist_tasks.contract.invocations import DescribeInvocationResults
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.schedules import DescribeRounds
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Invocation, RepeatMode, Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.listing import end, opened


async def scheduled(plane: Plane, rounds: int) -> InvokeId:
    """With so many rounds that are over."""
    invoke_id = await opened(
        plane.store, 1, "i-1", repeat_mode=RepeatMode.PERIOD, frequency="rate(10s)", zone="UTC"
    )
    for _ in range(rounds):
        await one_more(plane, invoke_id)
    return invoke_id


async def one_more(plane: Plane, invoke_id: InvokeId) -> None:
    found = await plane.store.schedules.open_round(invoke_id, why=Why.ASKED, batch=9, now_ms=3_000)
    assert found is not None
    await end(plane.store, invoke_id, "i-1", RunStatus.SUCCESS, round=found.number)


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
