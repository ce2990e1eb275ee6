"""Schedules over a real store and real hosts: rounds, ends, changes. The test is beat and worker."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    ModifyInvocationAttribute,
    StopInvocation,
)
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.schedules import (
    DescribeRounds,
    DescribeSchedules,
    PauseSchedule,
    ResumeSchedule,
    RunScheduleNow,
)
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import fire
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.fire import fire_due
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.schedules import Planned
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.spec_records import spec_blob
from tests.engine.scheduling import TEN_S, item, later, opened, published, schedule
from tests.support.plane import Console, Installation


async def test_each_time_runs_it_and_has_a_record_of_its_own(console: Console, home: Installation) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, home.marking("echo $(cat /dev/null) out; exit 3"), "i-1", "i-2")

    early = await later(console, worker, 8_000)
    for step_ms in (3_000, TEN_S):
        for key in await later(console, worker, step_ms):
            await execute(worker, key)

    history = await handle(
        console.plane, DescribeInvocationResults(invoke_id=invoke_id, include_history=True), LOCAL
    )
    shown = await item(console, invoke_id)
    assert early == []
    assert home.marked(invoke_id) == {"i-1": 2, "i-2": 2}
    assert [
        (one.instance_id, one.repeats, one.invocation_status, one.exit_code)
        for one in history.invocation.invocation_results
    ] == [("i-1", 2, "Failed", 3), ("i-2", 2, "Failed", 3), ("i-1", 1, "Failed", 3), ("i-2", 1, "Failed", 3)]
    assert (shown.invocation_status, shown.invoke_status, shown.timed) == ("Scheduled", "Running", True)
    assert [
        (one.repeats, one.invocation_status, one.exit_code, one.timed) for one in shown.invoke_instances
    ] == [(2, "Scheduled", 3, True)] * 2
    assert (await schedule(console, invoke_id)).rounds == 2


async def test_the_history_comes_in_pages(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true", "i-1", "i-2")
    for _ in range(3):
        for key in await later(console, worker):
            await execute(worker, key)

    found: list[tuple[str, int]] = []
    token: str | None = None
    while True:
        request = DescribeInvocationResults(
            invoke_id=invoke_id, include_history=True, max_results=2, next_token=token
        )
        answer = (await handle(console.plane, request, LOCAL)).invocation
        found += [(one.instance_id, one.repeats) for one in answer.invocation_results]
        token = answer.next_token
        if not token:
            break
    request = DescribeInvocationResults(
        invoke_id=invoke_id, include_history=True, page_number=2, page_size=4, instance_id=None
    )
    numbered = (await handle(console.plane, request, LOCAL)).invocation
    request = DescribeInvocationResults(invoke_id=invoke_id, include_history=True, instance_id="i-2")
    of_one = (await handle(console.plane, request, LOCAL)).invocation

    everything = [(id_, n) for n in (3, 2, 1) for id_ in ("i-1", "i-2")]
    assert found == everything
    assert [(one.instance_id, one.repeats) for one in numbered.invocation_results] == everything[4:]
    assert numbered.total_count == 6
    assert [one.repeats for one in of_one.invocation_results] == [3, 2, 1]
    assert of_one.total_count == 3


async def test_a_stop_ends_the_open_run_and_all_rounds(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "sleep 100", "i-1", "i-2", frequency="rate(1m)")
    keys = await later(console, worker, 60_000)
    running = worker.spawn(execute(worker, keys[0]))
    await console.reaches(keys[0], RunStatus.RUNNING)

    await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)
    await running

    assert await console.closed(invoke_id) == {RunStatus.TERMINATED: 1, RunStatus.CANCELLED: 1}
    assert await later(console, worker, 100_000) == []
    assert (await schedule(console, invoke_id)).state == "closed"


async def test_a_stop_on_some_lets_the_others_go_on(console: Console, home: Installation) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, home.marking(), "i-1", "i-2")
    for key in await later(console, worker):
        await execute(worker, key)

    await handle(console.plane, StopInvocation(invoke_id=invoke_id, instance_id=["i-1"]), LOCAL)
    keys = await later(console, worker)

    shown = await item(console, invoke_id)
    assert [key.instance_id for key in keys] == ["i-2"]
    assert [one.invocation_status for one in shown.invoke_instances] == ["Terminated", "Pending"]
    assert [one.timed for one in shown.invoke_instances] == [False, True]


async def test_what_runs_once_at_a_time_ends_by_itself(console: Console, home: Installation) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, home.marking(), frequency="at(2099-01-01 00:00:00)")
    console.clock.ahead_ms += 4_070_908_800_000 - console.clock.now_ms()

    for key in await later(console, worker, 1_000):
        await execute(worker, key)

    assert await console.closed(invoke_id) == {RunStatus.SUCCESS: 1}
    shown = await item(console, invoke_id)
    assert (shown.invocation_status, shown.invoke_status, shown.timed) == ("Success", "Finished", False)
    assert home.marked(invoke_id) == {"i-1": 1}


async def test_runs_of_a_beat_that_died_behind_the_step_are_published(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true")
    assert await later(console, worker) == [RunKey(invoke_id, "i-1", 1)]  # type: ignore[arg-type]

    console.clock.ahead_ms += 100_000  # nobody has claimed it, and no message waits
    await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
    await reconcile(worker)

    keys = await published(console, worker)
    assert keys[0] == RunKey(invoke_id, "i-1", 1)  # type: ignore[arg-type]
    await execute(worker, keys[0])
    assert (await console.run(keys[0])).status is RunStatus.SUCCESS


async def test_missed_times_are_recorded_and_skipped_or_run_once_late(console: Console) -> None:
    worker = await console.worker()
    skipping = await opened(console, "true")
    late = await opened(console, "true", misfire="once")

    keys = await later(console, worker, 65_000)

    answers = [await handle(console.plane, DescribeRounds(invoke_id=one), LOCAL) for one in (skipping, late)]
    assert [key.invoke_id for key in keys if key.invoke_id == late] == [late]
    assert [one.why for one in answers[1].rounds] == ["late"]
    assert [answer.missed[0].done for answer in answers] == ["skip", "once"]
    assert all(answer.missed[0].count == 5 for answer in answers)
    assert (await schedule(console, skipping)).missed == 5


async def test_paused_it_does_not_run_and_misses_nothing(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true")

    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)
    paused = await later(console, worker, 60_000)
    state = (await schedule(console, invoke_id)).state
    await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)
    resumed = await later(console, worker)

    assert (paused, state) == ([], "paused")
    assert len(resumed) == 1
    assert (await schedule(console, invoke_id)).missed == 0


async def test_after_a_pause_no_time_comes_again_though_the_clock_was_put_back(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true")
    [key] = await later(console, worker)
    await execute(worker, key)
    next_time = (await schedule(console, invoke_id)).next_time

    console.clock.ahead_ms -= 3_600_000
    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)
    await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)

    assert (await schedule(console, invoke_id)).next_time == next_time


async def test_run_now_is_beside_the_clock(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true")
    before = (await schedule(console, invoke_id)).next_time

    answer = await handle(console.plane, RunScheduleNow(invoke_id=invoke_id), LOCAL)
    [key] = await published(console, worker)
    again = await handle(console.plane, RunScheduleNow(invoke_id=invoke_id), LOCAL)

    after = await schedule(console, invoke_id)
    assert (answer.round, answer.total, key.round) == (1, 1, 1)
    assert (again.total, again.skipped) == (0, 1)
    assert (after.next_time, after.rounds) == (before, 2)


async def test_what_has_ended_cannot_be_changed_or_run(console: Console) -> None:
    invoke_id = await opened(console, "true")
    await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)

    requests: list[Operation[Any]] = [
        ModifyInvocationAttribute(invoke_id=invoke_id, frequency="rate(1d)"),
        RunScheduleNow(invoke_id=invoke_id),
        PauseSchedule(invoke_id=invoke_id),
    ]
    for request in requests:
        with pytest.raises(Refused) as refused:
            await handle(console.plane, request, LOCAL)
        assert refused.value.kind is Kind.INVOCATION_FINISHED


async def test_caps_hold_for_each_round(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "false", "i-1", "i-2", "i-3", max_concurrency="1", max_errors="1")

    [first] = await later(console, worker)
    await execute(worker, first)
    [second] = await published(console, worker)
    await execute(worker, second)

    round_ = await console.plane.store.invocations.get(invoke_id, round=1)
    assert round_ is not None
    assert round_.tally == {RunStatus.FAILED: 2, RunStatus.CANCELLED: 1}
    assert len(await later(console, worker)) == 1


async def unreadable(console: Console, *ids: str) -> str:
    """A schedule as a later version may have left it: this one knows no such Frequency."""
    invoke_id = await opened(console, "true", *ids)
    spec = (await console.invocation(invoke_id)).spec
    with console.home.valkey.client() as client:
        assert client.set(
            keys.spec(invoke_id, 0), spec_blob(replace(spec, frequency="fortnightly(monday)")), xx=True
        )
    return invoke_id


@pytest.mark.parametrize("at_a_time", [2, 10_000])
async def test_schedules_that_cannot_be_planned_stay_due_and_block_no_other(
    console: Console, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    """The longest due, and more of them than are looked at together."""
    monkeypatch.setattr(fire, "AT_A_TIME", at_a_time)
    worker = await console.worker()
    stuck = {await unreadable(console) for _ in range(5)}
    console.clock.ahead_ms += 100
    readable = [await opened(console, "true") for _ in range(5)]

    for _ in range(2):
        await later(console, worker)

    now_ms, schedules = console.plane.clock.now_ms(), console.plane.store.schedules
    assert [await schedules.round_count(one) for one in readable] == [2] * 5
    assert worker.unplanned == stuck
    assert {due.invoke_id for due in await schedules.due(now_ms=now_ms, limit=99)} == stuck
    next_ms = await schedules.next_ms(behind=len(stuck))
    assert next_ms is not None
    assert next_ms > now_ms


async def test_a_schedule_of_a_later_version_is_listed_among_the_others(
    console: Console, home: Installation
) -> None:
    other = await opened(console, "true")
    later_form = await unreadable(console)

    async with home.console(0, emptied=False) as fresh:
        listed = (await handle(fresh.plane, DescribeSchedules(), LOCAL)).schedules

    words = {one.invoke_id: (one.frequency, one.words) for one in listed}
    assert words[later_form] == ("fortnightly(monday)", "in words that this version does not know")
    assert words[other] == ("rate(10s)", "every 10 seconds")


async def test_what_was_opened_before_the_store_went_away_is_published(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three steps the second is not answered."""
    monkeypatch.setattr(fire, "STEP", 1)
    worker = await console.worker()
    ids = [await opened(console, "true") for _ in range(3)]
    console.clock.ahead_ms += TEN_S
    schedules = console.plane.store.schedules
    open_them, calls = schedules.fire, iter(range(9))

    async def second_fails(planned: Sequence[Planned], *, batch: int, now_ms: int) -> Any:
        if next(calls) == 1:
            raise Broken("the store cannot be reached")
        return await open_them(planned, batch=batch, now_ms=now_ms)

    monkeypatch.setattr(schedules, "fire", second_fails)
    with pytest.raises(Broken):
        await fire_due(worker)

    assert len({key.invoke_id for key in await published(console, worker)} & set(ids)) == 2
