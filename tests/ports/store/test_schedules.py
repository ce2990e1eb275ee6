"""Rounds in the store: opened once, each a fan-out of its own, and what the whole is meanwhile."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.boot import KnownBoot
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.firing import Plan
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, RepeatMode, Why
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.events import OLDEST, EventKind
from cloudassist_tasks.ports.schedules import Due, OpenedRound, Planned
from cloudassist_tasks.store import keys, schedules
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make

S = RunStatus


async def scheduled(store: RedisStore, *members: str, due_ms: int = 10_000, **fields: Any) -> InvokeId:
    spec = make.spec(
        **{"repeat_mode": RepeatMode.PERIOD, "frequency": "rate(10s)", "created_ms": 0, **fields}
    )
    period = spec.repeat_mode is RepeatMode.PERIOD
    opening = make.opening(
        *members, spec=spec, due_ms=due_ms if period else None, tick_ms=due_ms if period else 0
    )
    return (await store.invocations.open(opening, now_ms=1_000)).invoke_id


async def fired(
    store: RedisStore, now_ms: int, *, next_ms: int | None = None, last: bool = False, **plan: Any
) -> list[OpenedRound | None]:
    """Whatever is due then: one round each."""
    next_ms = None if last else next_ms or now_ms + 10_000
    why, more = plan.get("why", Why.TICK), plan.get("more", {})
    found = await store.schedules.due(now_ms=now_ms, limit=10)
    planned = [
        Planned(
            due=due,
            plan=Plan(why=why, at_ms=due.due_ms, next_tick_ms=next_ms, **more),
            next_due_ms=next_ms,
        )
        for due in found
    ]
    return list(await store.schedules.fire(planned, batch=50, now_ms=now_ms))


def at_twenty(due: Due) -> Planned:
    """The round of 10,000 ms; the next is at 20,000."""
    plan = Plan(why=Why.TICK, at_ms=10_000, next_tick_ms=20_000)
    return Planned(due=due, plan=plan, next_due_ms=20_000)


async def whole(store: RedisStore, id_: InvokeId) -> Invocation:
    found = await store.invocations.get(id_)
    assert found is not None
    return found


async def states(store: RedisStore, id_: InvokeId) -> dict[str, str]:
    """By instance, in the whole; they agree with its tally."""
    invocation = await whole(store, id_)
    runs = await store.runs.of(invocation, await store.invocations.members(id_))
    counted: dict[RunStatus, int] = {}
    for run in runs:
        counted[run.status] = counted.get(run.status, 0) + 1
    assert invocation.tally == counted
    return {run.key.instance_id: run.status.value for run in runs}


async def run_to(store: RedisStore, key: RunKey, status: RunStatus, now_ms: int = 20_000) -> None:
    held = await make.running(store, key, now_ms=now_ms)
    finished = await make.finish(store, held, Outcome(status=status), now_ms=now_ms + 1)
    assert finished.moved.done


def key(id_: InvokeId, member: str, round_: int) -> RunKey:
    return RunKey(id_, InstanceId(member), round_)


async def test_a_schedule_waits_and_publishes_nothing(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")

    reserved = await store.invocations.reserve(id_, batch=50, window=200, low=150, now_ms=2_000)
    claim = await make.claim(store, key(id_, "i-1", 0))

    assert await states(store, id_) == {"i-1": "Scheduled", "i-2": "Scheduled"}
    assert (reserved, claim.word.value) == ([], "unknown")
    assert await store.schedules.due(now_ms=9_999, limit=10) == []
    assert await store.schedules.next_ms() == 10_000


async def test_a_round_is_carried_like_any_fan_out_and_the_whole_waits_again(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")

    [opened] = await fired(store, 10_000)
    assert opened is not None
    assert opened.reserved == [key(id_, "i-1", 1), key(id_, "i-2", 1)]
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Pending"}
    held = await make.running(store, key(id_, "i-1", 1), now_ms=11_000)
    assert await states(store, id_) == {"i-1": "Running", "i-2": "Pending"}
    await make.finish(store, held, Outcome(status=S.FAILED, exit_code=3), now_ms=12_000)
    await run_to(store, key(id_, "i-2", 1), S.SUCCESS, 13_000)

    round_ = await store.invocations.get(id_, round=1)
    [first, _] = await store.runs.of(await whole(store, id_), await store.invocations.members(id_))
    assert round_ is not None
    assert round_.tally == {S.FAILED: 1, S.SUCCESS: 1}
    assert round_.finish_ms
    assert await states(store, id_) == {"i-1": "Scheduled", "i-2": "Scheduled"}
    assert (first.exit_code, first.repeats, first.key.round) == (3, 1, 1)
    assert not (await whole(store, id_)).finish_ms


async def test_of_many_beats_one_fires(store: RedisStore) -> None:
    id_ = await scheduled(store)
    found = [(await store.schedules.due(now_ms=10_000, limit=9))[0] for _ in range(5)]

    opened = await asyncio.gather(
        *(store.schedules.fire([at_twenty(due)], batch=50, now_ms=10_000 + n) for n, due in enumerate(found))
    )

    assert len([one for [one] in opened if one is not None]) == 1
    assert await store.schedules.round_count(id_) == 1
    assert await store.schedules.next_of([id_]) == [20_000]


async def test_who_still_runs_is_left_out_and_recorded(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    await fired(store, 10_000)
    await make.running(store, key(id_, "i-1", 1))
    await run_to(store, key(id_, "i-2", 1), S.SUCCESS)

    [second] = await fired(store, 20_000)
    assert second is not None
    await make.claim(store, key(id_, "i-2", 2))
    [third] = await fired(store, 30_000)
    assert third is not None

    assert (second.reserved, second.skipped) == ([key(id_, "i-2", 2)], 1)
    assert (third.total, third.skipped) == (0, 2)
    assert await store.schedules.skipped(id_, 2, limit=9) == ["i-1"]
    assert await store.schedules.skipped(id_, 3, limit=9) == ["i-1", "i-2"]
    assert await states(store, id_) == {"i-1": "Running", "i-2": "Pending"}


async def test_the_last_time_closes_the_schedule_with_its_last_run(store: RedisStore) -> None:
    command = make.command()
    await store.commands.add(command, quota=9)
    id_ = await scheduled(store, "i-1", "i-2", command=command)
    [opened] = await fired(store, 10_000, last=True)
    assert opened is not None
    assert opened.ended
    await run_to(store, key(id_, "i-1", 1), S.SUCCESS)
    with pytest.raises(Refused) as in_use:
        await store.commands.remove(command.id)

    await run_to(store, key(id_, "i-2", 1), S.TIMEOUT)

    assert in_use.value.kind is Kind.COMMAND_IN_USE
    assert await states(store, id_) == {"i-1": "Success", "i-2": "Timeout"}
    assert (await whole(store, id_)).finish_ms
    assert await store.invocations.open_rounds(limit=9) == []
    assert await store.schedules.open_ids(limit=9) == []
    await store.commands.remove(command.id)


async def test_a_stop_cancels_what_never_ran_and_terminates_the_rest(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2", "i-3")
    await fired(store, 10_000)
    for member in ("i-1", "i-2", "i-3"):
        await run_to(store, key(id_, member, 1), S.SUCCESS)
    other = await scheduled(store, "i-1", due_ms=99_000)

    for one in (id_, other):
        assert await store.schedules.end(one, now_ms=30_000)
        assert not await store.schedules.end(one, now_ms=30_001)
        members = await store.invocations.members(one)
        assert (await store.schedules.end_parts(one, members, leave=False, now_ms=30_000)).closed

    assert set((await states(store, id_)).values()) == {"Terminated"}
    assert await states(store, other) == {"i-1": "Cancelled"}
    assert (await whole(store, id_)).stop_ms == 30_000
    assert await fired(store, 100_000) == []


async def test_one_that_leaves_takes_part_in_no_further_round(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2", "i-3")
    await fired(store, 10_000)
    await make.running(store, key(id_, "i-2", 1))

    ended = await store.schedules.end_parts(
        id_, [InstanceId("i-2"), InstanceId("i-9")], leave=True, now_ms=11_000
    )
    stopped = await store.invocations.stop_runs(
        id_, ended.busy[1], round=1, now_ms=11_000, deadline_ms=90_000
    )
    [told] = stopped.told
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Stopping", "i-3": "Pending"}
    claim = await make.claim(store, told, force=True)
    assert claim.held is not None
    await make.finish(store, claim.held, Outcome(status=S.TERMINATED))
    for member in ("i-1", "i-3"):
        await run_to(store, key(id_, member, 1), S.SUCCESS)
    [second] = await fired(store, 20_000)

    assert second is not None
    assert [one.instance_id for one in second.reserved] == ["i-1", "i-3"]
    assert second.skipped == 0
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Terminated", "i-3": "Pending"}


async def test_when_all_have_left_it_closes(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")

    first = await store.schedules.end_parts(id_, [InstanceId("i-1")], leave=True, now_ms=2_000)
    second = await store.schedules.end_parts(id_, [InstanceId("i-2")], leave=True, now_ms=3_000)

    assert (first.closed, second.closed) == (False, True)
    assert await store.schedules.next_ms() is None
    assert await states(store, id_) == {"i-1": "Cancelled", "i-2": "Cancelled"}


async def test_what_was_missed_is_recorded_and_nothing_is_run(store: RedisStore) -> None:
    id_ = await scheduled(store)
    more = {"missed": 3, "missed_from_ms": 10_000, "missed_to_ms": 30_000}

    [opened] = await fired(store, 45_000, next_ms=50_000, why=None, more=more)

    assert opened is not None
    assert opened.number == 0
    [missed] = await store.schedules.missed(id_)
    assert (missed.count, missed.first_ms, missed.last_ms, missed.done) == (3, 10_000, 30_000, "skip")
    repetition = (await whole(store, id_)).repetition
    assert repetition is not None
    assert (repetition.missed, repetition.rounds, repetition.tick_ms) == (3, 0, 50_000)


async def test_an_only_time_that_was_missed_ends_it(store: RedisStore) -> None:
    id_ = await scheduled(store)
    more = {"missed": 1, "missed_from_ms": 10_000, "missed_to_ms": 10_000}

    [opened] = await fired(store, 99_000, why=None, last=True, more=more)
    assert opened is not None
    assert opened.ended
    await store.schedules.end_parts(id_, [InstanceId("i-1")], leave=False, now_ms=99_000)

    [run] = await store.runs.of(await whole(store, id_), [InstanceId("i-1")])
    assert (run.status, run.error_code) == (S.ABORTED, "CronExpressionExpired")
    assert (await whole(store, id_)).finish_ms


async def test_what_is_foreseen_is_what_is_due(store: RedisStore) -> None:
    ids = [
        await scheduled(store),
        await scheduled(store, due_ms=11_000),
        await scheduled(store, due_ms=30_000),
    ]
    read = await store.schedules.due(now_ms=11_000, limit=9)

    await store.schedules.foresee(until_ms=10_500)
    await store.schedules.foresee(until_ms=20_000)
    before = store.link.round_trips
    foreseen = await store.schedules.due(now_ms=11_000, limit=9)

    assert foreseen == read
    assert [due.invoke_id for due in foreseen] == ids[:2]
    assert store.link.round_trips == before + 1


async def test_one_stays_due_when_so_many_are_known_that_they_are_learned_anew(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "TIMINGS_KEPT", 0)
    known = await scheduled(store, "i-1", due_ms=10_000)
    await store.schedules.due(now_ms=10_000, limit=10)
    new = await scheduled(store, "i-2", due_ms=11_000)

    both = await store.schedules.due(now_ms=11_000, limit=10)

    assert [due.invoke_id for due in both] == [known, new]
    assert await store.schedules.next_ms() == 10_000


async def test_a_schedule_that_was_changed_is_looked_at_again(store: RedisStore) -> None:
    id_ = await scheduled(store)
    await store.schedules.foresee(until_ms=20_000)
    [found] = await store.schedules.due(now_ms=10_000, limit=9)
    spec = replace((await whole(store, id_)).spec, frequency="rate(7s)")
    assert await store.schedules.modify(spec, version=1, added=[], next_ms=None, tick_ms=0, now_ms=9_000)

    assert await store.schedules.still_due([found]) == [found]
    assert await store.schedules.fire([at_twenty(found)], batch=50, now_ms=10_000) == [None]

    [again] = await store.schedules.due(now_ms=10_000, limit=9)
    assert (again.version, again.timing.frequency) == (found.version + 1, "rate(7s)")
    assert await store.schedules.fire([at_twenty(again)], batch=50, now_ms=10_000) != [None]
    assert await store.schedules.still_due([again]) == []


async def test_many_are_fired_in_one_step_of_the_wire(store: RedisStore) -> None:
    ids = [await scheduled(store, f"i-{n}") for n in range(20)]
    found = await store.schedules.due(now_ms=10_000, limit=99)
    await store.link.call("SCRIPT", "FLUSH")
    before = store.link.round_trips

    opened = await store.schedules.fire([at_twenty(one) for one in found], batch=50, now_ms=10_000)

    assert [one.reserved for one in opened if one] == [
        [RunKey(one.invoke_id, InstanceId(f"i-{ids.index(one.invoke_id)}"), 1)] for one in found
    ]
    assert store.link.round_trips == before + 2, "it had to be loaded"


async def test_a_pause_keeps_rounds_from_being_opened(store: RedisStore) -> None:
    id_ = await scheduled(store)
    [found] = await store.schedules.due(now_ms=10_000, limit=9)

    assert await store.schedules.pause(id_)
    assert not await store.schedules.pause(id_)
    [late] = await store.schedules.fire([at_twenty(found)], batch=50, now_ms=10_000)
    nothing = await fired(store, 50_000)
    assert await store.schedules.resume(id_, next_ms=60_000, tick_ms=60_000, now_ms=51_000)
    [opened] = await fired(store, 60_000)

    assert (late, nothing) == (None, [])
    assert opened is not None
    assert opened.number == 1


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


async def test_what_is_changed_holds_from_the_next_round_on(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    await fired(store, 10_000)
    before = (await whole(store, id_)).spec
    changed = replace(before, command=make.command(b"echo new", kept=False), frequency="rate(20s)")

    done = [
        await store.schedules.modify(
            changed, version=1, added=[InstanceId("i-2")], next_ms=40_000, tick_ms=40_000, now_ms=11_000
        )
        for _ in range(2)
    ]
    [second] = await fired(store, 40_000)

    assert done == [True, False]
    assert second is not None
    assert (second.total, second.skipped) == (1, 1)
    first_round = await store.invocations.get(id_, round=1)
    second_round = await store.invocations.get(id_, round=2)
    assert first_round is not None
    assert second_round is not None
    assert first_round.spec == before
    assert second_round.spec.command.content.reveal() == b"echo new"
    assert await states(store, id_) == {"i-1": "Pending", "i-2": "Pending"}


async def test_a_round_that_leaves_out_everybody_shows_what_it_would_have_run(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    await fired(store, 10_000)
    changed = replace((await whole(store, id_)).spec, command=make.command(b"echo new", kept=False))
    await store.schedules.modify(changed, version=1, added=[], next_ms=None, tick_ms=0, now_ms=11_000)

    await fired(store, 20_000)

    empty = await store.invocations.get(id_, round=2)
    assert empty is not None
    assert (empty.total, empty.spec) == (0, changed)


async def test_old_rounds_go_and_the_newest_run_stays(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    for n in range(1, 6):
        await fired(store, 10_000 * n)
        await run_to(store, key(id_, "i-1", n), S.SUCCESS, 10_000 * n)
        if n == 1:
            await run_to(store, key(id_, "i-2", n), S.FAILED, 10_000)
            await store.schedules.end_parts(id_, [InstanceId("i-2")], leave=True, now_ms=10_500)

    dropped = await store.schedules.forget_rounds(id_, keep=2, before_ms=0)
    rounds = [one.round for one in await store.schedules.rounds(id_, limit=9)]
    aged = await store.schedules.forget_rounds(id_, keep=9, before_ms=45_000)

    assert (dropped, rounds, aged) == (3, [5, 4], 1)
    runs = await store.runs.of(await whole(store, id_), [InstanceId("i-1"), InstanceId("i-2")])
    assert [run.finish_ms > 0 for run in runs] == [True, True]
    assert await store.link.call("EXISTS", keys.run(key(id_, "i-1", 1))) == 0


async def test_a_run_that_outlived_its_round_goes_once_there_is_a_newer_one(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1")
    for n in (1, 2):
        await fired(store, 10_000 * n)
        await run_to(store, key(id_, "i-1", n), S.SUCCESS, 10_000 * n)
        await store.schedules.forget_rounds(id_, keep=0, before_ms=0)

    runs = await store.link.call("KEYS", f"{keys.RUN}{id_}.*")

    assert runs == [keys.run(key(id_, "i-1", 2)).encode()]


async def test_nothing_is_left_of_a_schedule_that_is_forgotten(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", "i-2")
    await fired(store, 10_000)
    for member in ("i-1", "i-2"):
        await run_to(store, key(id_, member, 1), S.SUCCESS)
    kept = await store.invocations.forget_older_than(99_999, limit=9)
    await store.schedules.end(id_, now_ms=30_000)
    await store.schedules.end_parts(id_, await store.invocations.members(id_), leave=False, now_ms=30_000)

    young = await store.invocations.forget_older_than(20_000, limit=9)
    forgotten = await store.invocations.forget_older_than(99_999, limit=9)

    assert (kept, young, forgotten) == (0, 0, 1)
    left = {name.decode() for name in await store.link.call("KEYS", "ca:*")}
    assert {name for name in left if id_ in name or name.startswith("ca:by:")} == set()


async def test_rounds_are_told_of_as_what_they_are(store: RedisStore) -> None:
    id_ = await scheduled(store, "i-1", webhook="http://127.0.0.1:9/")
    await fired(store, 10_000, last=True)
    await run_to(store, key(id_, "i-1", 1), S.SUCCESS)

    events = (await store.events.after(OLDEST, limit=99)).events
    [delivery] = await store.outbox.take_due(now_ms=99_999, lease_ms=1, limit=9)

    assert [(one.kind.value, one.round) for one in events if one.kind is not EventKind.RUN] == [
        ("opened", 0),
        ("round_opened", 1),
        ("round_closed", 1),
        ("closed", 0),
    ]
    assert (delivery.round, delivery.id) == (1, f"cb-{id_}-1")


async def test_an_instance_in_a_schedule_is_in_use(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1"), make.instance("i-2")])
    id_ = await scheduled(store, "i-1", "i-2")

    with pytest.raises(Refused) as refused:
        await store.instances.remove(InstanceId("i-1"))
    await store.schedules.end_parts(id_, [InstanceId("i-1")], leave=True, now_ms=2_000)
    await store.instances.remove(InstanceId("i-1"))

    assert refused.value.kind is Kind.INSTANCE_IN_USE
