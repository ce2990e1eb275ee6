"""Results of runs as one list: the same by token and by number, whatever the filters and the page size."""

import random
from dataclasses import replace

import pytest

from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.results import ResultPage, Results
from cloudassist_tasks.ports.listing import InvocationFilter
from tests.support.installation import plane, store_server  # noqa: F401
from tests.support.listing import end, everything, fill, fits, opened, some_filter

S = RunStatus

Shown = list[tuple[InvokeId, InstanceId]]


def shown(page: ResultPage) -> Shown:
    return [(run.key.invoke_id, run.key.instance_id) for run in page.runs]


async def expected(plane: Plane, wanted: InvocationFilter) -> Shown:  # noqa: F811
    found: Shown = []
    for one in await everything(plane.store):
        if not await fits(plane.store, wanted, one):
            continue
        ids = await plane.store.invocations.members(one.spec.id)
        found += [
            (one.spec.id, run.key.instance_id)
            for run in await plane.store.runs.of(one, ids)
            if run.status in wanted.run_statuses and wanted.instance_id in (None, run.key.instance_id)
        ]
    return found


async def by_token(results: Results, size: int) -> Shown:
    found: Shown = []
    position = ""
    while True:
        page = await results.behind(position, size)
        assert len(page.items) <= size
        found += shown(page)
        position = page.position
        if not position:
            return found


@pytest.mark.parametrize("seed", range(2))
async def test_pages_of_results_are_parts_of_one_list(plane: Plane, seed: int) -> None:  # noqa: F811
    chance = random.Random(seed)
    await fill(plane.store, 40, chance)

    for _ in range(30):
        wanted = some_filter(chance)
        size = chance.choice((1, 2, 7, 50))
        results = Results(plane, wanted)
        every = await expected(plane, wanted)

        assert await by_token(results, size) == every, wanted
        for skip in range(0, len(every) + size, size):
            page = await results.numbered(skip, size)
            assert (shown(page), page.total) == (every[skip : skip + size], len(every))


async def test_a_page_of_rare_results_looks_at_a_bounded_number_of_members(
    plane: Plane,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cloudassist_tasks.operations.results.CHUNK", 10)
    monkeypatch.setattr("cloudassist_tasks.operations.results.LOOKED_AT", 20)
    ids = [f"i-{n:03}" for n in range(100)]
    invoke_id = await opened(plane.store, 1, *ids)
    await end(plane.store, invoke_id, ids[77], S.FAILED)
    rare = InvocationFilter(invoke_id=invoke_id, run_statuses=frozenset({S.FAILED}))

    first = await Results(plane, rare).behind("", 5)
    numbered = await Results(plane, rare).numbered(0, 5)

    assert (first.items, bool(first.position)) == ([], True)
    assert await by_token(Results(plane, rare), 5) == [(invoke_id, ids[77])]
    assert (shown(numbered), numbered.total) == ([(invoke_id, ids[77])], 1)
    assert await by_token(Results(plane, replace(rare, run_statuses=frozenset({S.ERROR}))), 5) == []


@pytest.mark.parametrize("chunk", [7, 1_000])
async def test_results_of_a_large_invocation_are_found_by_how_they_ended(
    plane: Plane,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr("cloudassist_tasks.operations.results.CHUNK", chunk)
    chance = random.Random(1)
    invoke_id = await opened(plane.store, 1, *[f"i-{n:03}" for n in range(300)])
    for number in range(300):
        if status := chance.choice((S.SUCCESS, S.SUCCESS, S.FAILED, S.CANCELLED, None)):
            await end(plane.store, invoke_id, f"i-{number:03}", status)

    for wanted in ({S.FAILED}, {S.CANCELLED, S.FAILED}, {S.PENDING}, {S.PENDING, S.FAILED}, {S.ERROR}):
        fitting = InvocationFilter(invoke_id=invoke_id, run_statuses=frozenset(wanted))
        every = await expected(plane, fitting)
        results = Results(plane, fitting)

        assert await by_token(results, 9) == every
        for skip in range(0, len(every) + 20, 20):
            page = await results.numbered(skip, 20)
            assert (shown(page), page.total) == (every[skip : skip + 20], len(every))


async def test_three_failures_among_thousands_are_found_without_looking_at_the_others(
    plane: Plane,  # noqa: F811
) -> None:
    ids = [f"i-{n:04}" for n in range(3_000)]
    invoke_id = await opened(plane.store, 1, *ids)
    failed = [ids[7], ids[1_500], ids[2_999]]
    for id_ in failed:
        await end(plane.store, invoke_id, id_, S.FAILED)

    before = await calls(plane)
    page = await Results(
        plane, InvocationFilter(invoke_id=invoke_id, run_statuses=frozenset({S.FAILED}))
    ).numbered(0, 50)
    cost = await calls(plane) - before

    assert shown(page) == [(invoke_id, id_) for id_ in failed]
    assert cost < 200


async def calls(plane: Plane) -> int:  # noqa: F811
    """How many commands the server has carried out so far."""
    return int((await plane.store.facts())["total_commands_processed"])
