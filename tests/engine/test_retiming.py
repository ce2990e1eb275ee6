"""A schedule that is paused, stopped or retimed: what had come due does not vanish, and none comes twice."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from cloudassist_tasks.contract.invocations import ModifyInvocationAttribute, StopInvocation
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.schedules import (
    DescribeRounds,
    PauseSchedule,
    ResumeSchedule,
    RunScheduleNow,
)
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Broken, Kind, Refused, StoreFull
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.engine import retime
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.operations.handling import handle
from tests.engine.scheduling import TEN_S, later, opened, published, schedule
from tests.operations.callers import just_before
from tests.support.plane import Console

MINUTE, HOUR = 60_000, 3_600_000


def retimed(invoke_id: InvokeId, frequency: str) -> ModifyInvocationAttribute:
    return ModifyInvocationAttribute(invoke_id=invoke_id, frequency=frequency)


async def missed(console: Console, invoke_id: InvokeId) -> list[tuple[int, str]]:
    """How many, and what was done, newest first; they are what is counted."""
    answer = await handle(console.plane, DescribeRounds(invoke_id=invoke_id), LOCAL)
    assert (await schedule(console, invoke_id)).missed == sum(one.count for one in answer.missed)
    return [(one.count, one.done) for one in answer.missed]


async def fired(console: Console, invoke_id: InvokeId) -> list[str]:
    """The times that had a round of their own, oldest first."""
    answer = await handle(console.plane, DescribeRounds(invoke_id=invoke_id), LOCAL)
    return [one.due_time for one in reversed(answer.rounds) if one.why == "tick"]


@pytest.mark.parametrize("misfire", ["skip", "once"])
@pytest.mark.parametrize("done", ["changed", "paused"])
async def test_what_was_missed_until_then_is_recorded_and_nothing_is_run(
    console: Console, misfire: str, done: str
) -> None:
    invoke_id = await opened(console, "true", frequency="rate(1m)", misfire=misfire)
    change: Operation[Any] = retimed(invoke_id, "rate(2m)")

    console.clock.ahead_ms += 5 * MINUTE + 30_000
    await handle(console.plane, change if done == "changed" else PauseSchedule(invoke_id=invoke_id), LOCAL)
    console.clock.ahead_ms += MINUTE // 4
    if done == "paused":
        await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)
    keys = await later(console, await console.worker(), MINUTE // 4 + 1_000)

    assert await missed(console, invoke_id) == [(5, done)]
    assert [key.round for key in keys] == [1]
    assert len(await fired(console, invoke_id)) == 1


@pytest.mark.parametrize("way", ["changed", "paused"])
async def test_a_time_that_is_due_this_moment_is_fired_first(console: Console, way: str) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true")
    due = (await schedule(console, invoke_id)).next_time
    request: Operation[Any] = retimed(invoke_id, "rate(20s)")

    console.clock.ahead_ms += TEN_S
    await handle(console.plane, request if way == "changed" else PauseSchedule(invoke_id=invoke_id), LOCAL)

    [key] = await published(console, worker)
    [time] = await fired(console, invoke_id)
    assert (key.round, time[:19]) == (1, due[:19])
    assert await missed(console, invoke_id) == []
    found = await schedule(console, invoke_id)
    assert (found.state, found.frequency) == (
        ("active", "rate(20s)") if way == "changed" else ("paused", "rate(10s)")
    )


@pytest.mark.parametrize("misfire", ["skip", "once"])
@pytest.mark.parametrize("instance_ids", [(), ("i-1",)], ids=["as a whole", "by its only instance"])
async def test_what_was_missed_until_a_stop_is_recorded_and_nothing_is_run(
    console: Console, instance_ids: tuple[str, ...], misfire: str
) -> None:
    invoke_id = await opened(console, "true", frequency="rate(1m)", misfire=misfire)

    console.clock.ahead_ms += 5 * MINUTE + 30_000
    await handle(console.plane, StopInvocation(invoke_id=invoke_id, instance_id=instance_ids), LOCAL)

    assert await missed(console, invoke_id) == [(5, "skip")]
    assert await fired(console, invoke_id) == []
    assert (await schedule(console, invoke_id)).state == "closed"


async def test_a_stop_that_finds_the_store_silent_is_to_be_repeated_and_hides_no_miss(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object, **__: object) -> None:
        raise Broken("no answer within 5 s")

    invoke_id = await opened(console, "true", frequency="rate(1m)")
    console.clock.ahead_ms += 5 * MINUTE + 30_000
    with monkeypatch.context() as store:
        store.setattr(console.plane.store.schedules, "fire", silent)
        with pytest.raises(Broken):
            await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)
    await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)

    assert await missed(console, invoke_id) == [(5, "skip")]


async def test_a_stop_of_some_leaves_the_late_round_of_the_others(console: Console) -> None:
    await console.register_one("i-2")
    invoke_id = await opened(console, "true", "i-1", "i-2", frequency="rate(1m)", misfire="once")

    console.clock.ahead_ms += 5 * MINUTE + 30_000
    await handle(console.plane, StopInvocation(invoke_id=invoke_id, instance_id=["i-2"]), LOCAL)
    keys = await later(console, await console.worker(), 1)

    assert [(key.instance_id, key.round) for key in keys] == [("i-1", 1)]
    assert await missed(console, invoke_id) == [(5, "once")]


async def test_a_time_that_is_due_at_its_stop_is_neither_fired_nor_missed(console: Console) -> None:
    invoke_id = await opened(console, "true")

    console.clock.ahead_ms += TEN_S
    await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)

    assert (await missed(console, invoke_id), await fired(console, invoke_id)) == ([], [])


async def test_of_many_the_last_is_fired_and_the_others_are_missed(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true", misfire="once")

    console.clock.ahead_ms += 65_000
    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)
    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)

    assert await missed(console, invoke_id) == [(5, "skip")]
    assert len(await fired(console, invoke_id)) == 1
    assert len(await published(console, worker)) == 1


async def test_a_pause_gets_through_though_nothing_can_be_opened(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StoreFull("out of memory")

    invoke_id = await opened(console, "true")
    monkeypatch.setattr(retime, "fire_one", full)

    console.clock.ahead_ms += TEN_S
    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)

    assert await missed(console, invoke_id) == [(1, "paused")]
    assert (await schedule(console, invoke_id)).state == "paused"


async def paused(console: Console, **when: Any) -> InvokeId:
    """A schedule that is."""
    invoke_id = await opened(console, "true", **when)
    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)
    return invoke_id


def meanwhile(console: Console, monkeypatch: pytest.MonkeyPatch, request: Operation[Any]) -> None:
    """Somebody else's, right before the step that lets a schedule go on."""
    other = partial(handle, console.plane, request, LOCAL)
    just_before(monkeypatch, console.plane.store.schedules, "resume", other)


async def test_it_goes_on_by_the_times_that_it_has_then(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = await paused(console, frequency="rate(1m)")
    meanwhile(console, monkeypatch, retimed(invoke_id, "rate(1h)"))

    answer = await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)
    early = await later(console, await console.worker(), 59 * MINUTE)

    assert (answer.next_time, early) == ((await schedule(console, invoke_id)).next_time, [])
    assert [key.round for key in await later(console, await console.worker(), MINUTE)] == [1]


async def test_what_is_stopped_meanwhile_does_not_go_on_and_says_so(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = await paused(console)
    meanwhile(console, monkeypatch, StopInvocation(invoke_id=invoke_id))

    with pytest.raises(Refused, match="has ended") as refused:
        await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)

    assert refused.value.kind is Kind.INVOCATION_FINISHED


async def test_what_goes_on_already_says_when_and_stays_so(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = await paused(console)
    meanwhile(console, monkeypatch, ResumeSchedule(invoke_id=invoke_id))

    answer = await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)

    found = await schedule(console, invoke_id)
    assert (found.state, found.next_time) == ("active", answer.next_time)


async def test_an_only_time_that_was_missed_can_be_replaced(console: Console) -> None:
    def at(ahead_s: int) -> str:
        time = datetime.fromtimestamp(console.clock.now_ms() // 1_000 + ahead_s, UTC)
        return f"at({time:%Y-%m-%d %H:%M:%S})"

    invoke_id = await opened(console, "true", frequency=at(60))

    console.clock.ahead_ms += 5 * MINUTE
    await handle(console.plane, retimed(invoke_id, at(60)), LOCAL)
    keys = await later(console, await console.worker(), 61_000)

    assert [key.round for key in keys] == [1]
    assert await missed(console, invoke_id) == [(1, "changed")]


async def test_no_time_comes_again_by_other_times_though_the_clock_was_put_back(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true", frequency="rate(1h)")
    [key] = await later(console, worker, HOUR)
    await execute(worker, key)

    console.clock.ahead_ms -= HOUR
    await handle(console.plane, retimed(invoke_id, "rate(30m)"), LOCAL)
    early = await later(console, worker, HOUR)
    [second] = await later(console, worker, HOUR // 2)

    assert early == []
    assert second.round == 2
    times = await fired(console, invoke_id)
    assert len(set(times)) == 2
    assert await missed(console, invoke_id) == []


async def test_a_round_that_was_asked_for_is_no_time_of_a_schedule(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true")
    [key] = await later(console, worker)
    await execute(worker, key)
    next_time = (await schedule(console, invoke_id)).next_time

    console.clock.ahead_ms -= HOUR
    await handle(console.plane, RunScheduleNow(invoke_id=invoke_id), LOCAL)
    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)
    await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)

    assert (await schedule(console, invoke_id)).next_time == next_time
