"""Pages by filters: what fits and nothing else, whatever moves meanwhile, at a cost that stays the same."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import InvocationKind
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.listing import CommandFilter, InvocationFilter
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.listing import end, everything, fill, fits, opened, some_filter
from tests.support.store import make

S = RunStatus


async def by_token(store: RedisStore, wanted: InvocationFilter, limit: int) -> Sequence[InvokeId]:
    found: list[InvokeId] = []
    cursor = ""
    while True:
        page = await store.invocations.page(wanted, limit=limit, cursor=cursor)
        found += [one.spec.id for one in page.items]
        cursor = page.cursor
        if not cursor:
            return found


@pytest.mark.parametrize("seed", range(3))
async def test_any_filters_together_find_what_fits_and_nothing_else(store: RedisStore, seed: int) -> None:
    chance = random.Random(seed)
    await fill(store, 60, chance)
    every = await everything(store)
    assert len(every) == 60

    for _ in range(80):
        wanted = some_filter(chance)
        expected = [one.spec.id for one in every if await fits(store, wanted, one)]

        paged = await by_token(store, wanted, chance.choice((1, 3, 50)))
        counted = await store.invocations.page(wanted, limit=3, skip=2, count=True)

        assert paged == expected, wanted
        assert ([one.spec.id for one in counted.items], counted.total) == (expected[2:5], len(expected))


@pytest.mark.parametrize("seed", range(3))
async def test_runs_are_counted_and_found_by_their_number(store: RedisStore, seed: int) -> None:
    chance = random.Random(seed)
    await fill(store, 40, chance)
    every = await everything(store)

    for _ in range(20):
        wanted = replace(some_filter(chance), instance_id=None)
        numbers = [
            (one.spec.id, sum(one.tally.get(status, 0) for status in wanted.run_statuses))
            for one in every
            if await fits(store, wanted, one)
        ]
        runs = [(id_, place) for id_, number in numbers for place in range(number)]

        for skip, (id_, offset) in enumerate(runs):
            place = await store.invocations.run_place(wanted, skip=skip)
            page = await store.invocations.page(wanted, limit=1, cursor=place.cursor)
            assert (place.total, place.offset, page.items[0].spec.id) == (len(runs), offset, id_)
        beyond = await store.invocations.run_place(wanted, skip=len(runs))
        assert beyond.total == len(runs)
        assert (await store.invocations.page(wanted, limit=1, cursor=beyond.cursor)).items == []


async def test_a_walk_by_token_sees_each_once_while_all_around_it_moves(store: RedisStore) -> None:
    ids = [await opened(store, n, "i-1", "i-2", tags={"env": "prod"}) for n in range(40)]
    wanted = InvocationFilter(
        instance_id=InstanceId("i-1"), tags={"env": "prod"}, run_statuses=frozenset({S.PENDING, S.FAILED})
    )

    seen: list[InvokeId] = []
    cursor, number = "", 40
    while True:
        page = await store.invocations.page(wanted, limit=3, cursor=cursor)
        seen += [one.spec.id for one in page.items]
        cursor = page.cursor
        if not cursor:
            break
        await opened(store, number, "i-1")  # a new one
        await end(store, seen[-1], "i-1", S.FAILED)  # the one that the cursor stands on moves
        await end(store, seen[0], "i-2", S.SUCCESS)
        await end(store, ids[number - 40], "i-2", S.TIMEOUT)  # one that is still to come moves
        number += 1

    assert seen == ids[::-1]


async def test_the_one_that_a_cursor_stands_on_may_be_forgotten(store: RedisStore) -> None:
    ids = [await opened(store, n, "i-1") for n in range(6)]
    page = await store.invocations.page(InvocationFilter(), limit=2)

    for id_ in ids[:5]:
        await end(store, id_, "i-1", S.SUCCESS)
    forgotten = await store.invocations.forget_older_than(1_005, limit=2)
    rest = await store.invocations.page(InvocationFilter(), limit=9, cursor=page.cursor)

    assert forgotten == 2
    assert [one.spec.id for one in rest.items] == [ids[3], ids[2]]


async def test_nothing_is_left_of_the_marks_of_what_is_forgotten(store: RedisStore) -> None:
    chance = random.Random(1)
    await fill(store, 30, chance)
    for one in await everything(store):
        ids = list(await store.invocations.members(one.spec.id))
        if one.repetition is not None:
            await store.schedules.end(one.spec.id, now_ms=1)
            await store.schedules.end_parts(one.spec.id, ids, leave=False, now_ms=1)
        for round_ in range(1, one.repetition.rounds + 1) if one.repetition else (0,):
            await store.invocations.abort_unclaimed(
                one.spec.id, ids, round=round_, outcome=Outcome(status=S.ABORTED), now_ms=1
            )
        for run in await store.runs.of(one, ids):
            if run.status is S.RUNNING:
                held = (await make.claim(store, run.key, force=True)).held
                assert held is not None
                await make.finish(store, held)

    forgotten = [
        await store.invocations.forget_older_than(99_999, limit=99, kind=kind) for kind in InvocationKind
    ]

    assert sum(forgotten) == 30
    assert await store.link.call("KEYS", "ca:by:*") == []


async def test_names_are_dropped_once_nobody_of_their_chunk_is_left(store: RedisStore) -> None:
    for number in range(520):
        await end(store, await opened(store, number, "i-1", name=f"name {number}"), "i-1", S.SUCCESS)

    found = await store.invocations.page(InvocationFilter(name="name *7"), limit=99, count=True)
    await store.invocations.forget_older_than(1_000 + 511, limit=999)
    names = await store.link.call("KEYS", "ca:invocations:names:*")
    left = await store.invocations.page(InvocationFilter(name="name *7"), limit=99, count=True)

    assert found.total == 52
    assert names == [b"ca:invocations:names:1"]
    assert [one.spec.command.name for one in left.items] == ["name 517"]


FILTERS = {
    "all": InvocationFilter(),
    "many at once": InvocationFilter(
        command_type="RunShellScript",
        tags={"env": "prod"},
        timed=False,
        name="*a*",
        states=lambda present: S.SUCCESS in present,
        resource_group="rg-1",
    ),
    "none": InvocationFilter(command_id=CommandId("c-none")),
    "an instance": InvocationFilter(instance_id=InstanceId("i-1")),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_page_costs_as_much_among_thousands_as_among_dozens(store: RedisStore, name: str) -> None:
    """Counted in what the server does for it: commands, those inside scripts too."""
    costs = []
    await store.invocations.page(FILTERS[name], limit=10, count=True)  # the server knows its scripts
    for fewest, most in ((0, 60), (60, 2_000)):
        for number in range(fewest, most):
            fields = {"name": "a name", "tags": {"env": "prod"}, "resource_group": "rg-1"}
            await end(store, await opened(store, number, "i-1", **fields), "i-1", S.SUCCESS)
        cost = []
        for count in (False, True):
            before = await calls(store)
            await store.invocations.page(FILTERS[name], limit=10, skip=20, count=count)
            cost.append(await calls(store) - before)
        costs.append(cost)

    few, many = costs
    assert many == few
    assert max(many) < 100


async def calls(store: RedisStore) -> int:
    """How many commands the server has carried out so far."""
    lines = (await store.link.call("INFO", "commandstats")).decode().splitlines()
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines if "calls=" in line)


async def test_a_page_looks_at_no_more_open_runs_of_an_instance_than_it_may(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudassist_tasks.store.listing.LOOKED_AT", 4)
    monkeypatch.setattr("cloudassist_tasks.store.listing.AT_ONCE", 2)
    ids = [await opened(store, n, "i-1", "i-2") for n in range(10)]
    for id_ in ids[:1] + ids[2:]:
        await make.running(store, RunKey(id_, InstanceId("i-1")))
    wanted = InvocationFilter(instance_id=InstanceId("i-1"), run_statuses=frozenset({S.PENDING}))

    before = await calls(store)
    first = await store.invocations.page(wanted, limit=5)
    cost = await calls(store) - before

    assert (first.items, bool(first.cursor)) == ([], True)
    assert cost < 50
    assert await by_token(store, wanted, 5) == [ids[1]]


async def test_how_a_run_of_an_instance_ended_is_known_without_looking(store: RedisStore) -> None:
    ids = [await opened(store, n, "i-1", "i-2") for n in range(20)]
    for number, id_ in enumerate(ids):
        await end(store, id_, "i-1", S.FAILED if number % 5 == 3 else S.SUCCESS)
        await end(store, id_, "i-2", S.FAILED if number % 2 else S.SUCCESS)
    wanted = InvocationFilter(instance_id=InstanceId("i-1"), run_statuses=frozenset({S.FAILED}))

    before = store.link.round_trips
    page = await store.invocations.page(wanted, limit=2, count=True)

    assert ([one.spec.id for one in page.items], page.total) == ([ids[18], ids[13]], 4)
    assert store.link.round_trips - before == 3


async def test_commands_are_found_as_they_are_now(store: RedisStore) -> None:
    commands = [
        make.command(
            id=CommandId(f"c-{n}"),
            name=f"name {n}",
            description="of ten" if n % 2 else "",
            tags={"n": str(n)},
        )
        for n in range(10)
    ]
    for command in commands:
        await store.commands.add(command, quota=100)
    renamed = replace(commands[3], name="other", tags={"n": "33"}, resource_group="rg-1")
    await store.commands.replace(renamed, instead_of=commands[3])
    await store.commands.remove(commands[5].id)

    async def ids(wanted: CommandFilter) -> list[str]:
        page = await store.commands.page(wanted, limit=99, count=True)
        assert page.total == len(page.items)
        return [command.id for command in page.items]

    assert await ids(CommandFilter()) == ["c-9", "c-8", "c-7", "c-6", "c-4", "c-3", "c-2", "c-1", "c-0"]
    assert await ids(CommandFilter(name="other")) == ["c-3"]
    assert await ids(CommandFilter(name="name *", description="*ten")) == ["c-9", "c-7", "c-1"]
    assert await ids(CommandFilter(tags={"n": "3"})) == []
    assert await ids(CommandFilter(tags={"n": "33"}, resource_group="rg-1")) == ["c-3"]
    assert await ids(CommandFilter(type="RunBatScript")) == []
    assert await ids(CommandFilter(command_id=CommandId("c-4"), name="name*")) == ["c-4"]
    assert await ids(CommandFilter(command_id=CommandId("c-5"))) == []


async def test_the_marks_of_a_removed_command_go_with_it(store: RedisStore) -> None:
    command = make.command(tags={"a": "b"}, resource_group="rg")
    await store.commands.add(command, quota=1)
    await store.commands.replace(replace(command, tags={"a": "c"}), instead_of=command)

    await store.commands.remove(command.id)

    assert await store.link.call("KEYS", "ca:commands:by:*") == []
    assert await store.link.call("EXISTS", "ca:commands:texts") == 0
