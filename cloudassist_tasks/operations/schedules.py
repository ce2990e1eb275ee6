"""Schedules for our own clients: list them, look at their rounds, pause, resume, run one now."""

import asyncio
from collections.abc import Sequence

from cloudassist_tasks.contract.schedules import (
    DescribeRounds,
    DescribeRoundsResult,
    DescribeSchedules,
    DescribeSchedulesResult,
    MissedItem,
    PauseSchedule,
    PauseScheduleResult,
    ResumeSchedule,
    ResumeScheduleResult,
    RoundItem,
    RunScheduleNow,
    RunScheduleNowResult,
    ScheduleItem,
)
from cloudassist_tasks.contract.times import exact_time_text
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Invocation, InvocationSpec, RepeatMode, Repetition, Why
from cloudassist_tasks.domain.pagination import checked_page, token_for
from cloudassist_tasks.domain.rollup import invocation_status
from cloudassist_tasks.domain.schedule import Schedule
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.fire import publish_round
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import due_ms, times_of
from cloudassist_tasks.engine.retime import TRIES, next_tick, overlooked, standing_ms, unsteady
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import time_text
from cloudassist_tasks.ports.listing import InvocationFilter
from cloudassist_tasks.ports.schedules import Standing

MOST_ROUNDS = 1_000
SKIPPED_SHOWN = 50
_WORDS = {
    RepeatMode.NEXT_REBOOT_ONLY: "once, when the instance next starts",
    RepeatMode.EVERY_REBOOT: "each time that the instance starts",
    RepeatMode.PERIOD: "in words that this version does not know",
}


@implements(DescribeSchedules)
async def describe_schedules(plane: Plane, request: DescribeSchedules) -> DescribeSchedulesResult:
    if request.invoke_id:
        [one] = await plane.store.schedules.standing([InvokeId(request.invoke_id)])
        _checked(request.invoke_id, one.whole if one else None)
        return DescribeSchedulesResult(schedules=await _items(plane, [one]))
    page = checked_page(max_results=request.max_results, next_token=request.next_token)
    found = await plane.store.invocations.page(
        InvocationFilter(timed=True), limit=page.size, cursor=getattr(page, "position", "")
    )
    standing = await plane.store.schedules.standing([one.spec.id for one in found.items])
    return DescribeSchedulesResult(
        schedules=await _items(plane, standing), next_token=token_for(found.cursor)
    )


@implements(DescribeRounds)
async def describe_rounds(plane: Plane, request: DescribeRounds) -> DescribeRoundsResult:
    if not 1 <= request.limit <= MOST_ROUNDS or request.start < 0:
        raise Refused(Kind.BAD_VALUE, f"at most {MOST_ROUNDS:,} rounds in one reply; ask for them in parts")
    schedule = await _schedule(plane, request.invoke_id)
    invoke_id, schedules = schedule.spec.id, plane.store.schedules
    rounds = await schedules.rounds(invoke_id, limit=request.limit + 1, newest=request.start or None)
    behind = rounds[request.limit :]
    return DescribeRoundsResult(
        rounds=tuple(await asyncio.gather(*[_round(plane, one) for one in rounds[: request.limit]])),
        missed=tuple(
            MissedItem(
                count=one.count,
                first_time=time_text(one.first_ms),
                last_time=time_text(one.last_ms),
                seen_time=time_text(one.seen_ms),
                done=one.done,
            )
            for one in await schedules.missed(invoke_id)
        ),
        next_start=behind[0].round if behind else 0,
    )


@implements(PauseSchedule)
async def pause_schedule(plane: Plane, request: PauseSchedule) -> PauseScheduleResult:
    invoke_id = InvokeId(request.invoke_id)
    for _ in range(TRIES):
        stands_ms = await standing_ms(plane, invoke_id)
        schedule = await _going_on(plane, invoke_id)
        assert schedule.repetition is not None
        if schedule.repetition.paused:
            return PauseScheduleResult()
        left = await overlooked(plane, schedule, stands_ms)
        now_ms = plane.clock.now_ms()
        if left is not None and await plane.store.schedules.pause(invoke_id, left, now_ms=now_ms):
            return PauseScheduleResult()
    raise unsteady(invoke_id)


@implements(ResumeSchedule)
async def resume_schedule(plane: Plane, request: ResumeSchedule) -> ResumeScheduleResult:
    for _ in range(TRIES):
        schedule, now_ms = await _going_on(plane, request.invoke_id), plane.clock.now_ms()
        spec, repetition = schedule.spec, schedule.repetition
        assert repetition is not None
        if not repetition.paused:
            return ResumeScheduleResult(next_time=time_text(repetition.tick_ms))
        tick_ms = _tick_to_come(spec, repetition, now_ms)
        if await plane.store.schedules.resume(
            spec.id,
            repetition,
            next_ms=due_ms(spec.id, spec.timing, tick_ms),
            tick_ms=tick_ms or 0,
            now_ms=now_ms,
        ):
            return ResumeScheduleResult(next_time=time_text(tick_ms or 0))
    raise unsteady(request.invoke_id)


@implements(RunScheduleNow)
async def run_schedule_now(plane: Plane, request: RunScheduleNow) -> RunScheduleNowResult:
    spec = (await _going_on(plane, request.invoke_id)).spec
    opened = await plane.store.schedules.open_round(
        spec.id, why=Why.ASKED, batch=plane.limits.batch, now_ms=plane.clock.now_ms()
    )
    if opened is None:
        raise Refused(Kind.INVOCATION_FINISHED, f"{spec.id} has ended; begin a new one")
    await publish_round(plane, spec.id, opened)
    return RunScheduleNowResult(round=opened.number, total=opened.total, skipped=opened.skipped)


# -- inside


async def _schedule(plane: Plane, invoke_id: str) -> Invocation:
    return _checked(invoke_id, await plane.store.invocations.get(InvokeId(invoke_id)))


def _checked(invoke_id: str, invocation: Invocation | None) -> Invocation:
    """`Refused` for one that there is not, or that is no schedule."""
    if invocation is None:
        raise Refused(
            Kind.INVOCATION_NOT_FOUND, f"no invocation {invoke_id[:64]}; see `cloudassist schedule ls`"
        )
    if invocation.repetition is None:
        raise Refused(
            Kind.DOES_NOT_REPEAT, f"{invoke_id} ran once; see `cloudassist invocation show {invoke_id}`"
        )
    return invocation


async def _going_on(plane: Plane, invoke_id: str) -> Invocation:
    schedule = await _schedule(plane, invoke_id)
    if schedule.finish_ms or (schedule.repetition and schedule.repetition.ended):
        raise Refused(Kind.INVOCATION_FINISHED, f"{invoke_id} has ended; begin a new one")
    return schedule


def _tick_to_come(spec: InvocationSpec, repetition: Repetition, now_ms: int) -> int | None:
    """None: it waits for boots. `Refused(BAD_VALUE)` where no time is left."""
    if spec.repeat_mode is not RepeatMode.PERIOD:
        return None
    tick_ms = next_tick(spec.id, spec.timing, repetition, now_ms=now_ms)
    if tick_ms is None:
        raise Refused(Kind.BAD_VALUE, f"{spec.id} has no time to come any more; stop it")
    return tick_ms


async def _items(plane: Plane, found: Sequence[Standing | None]) -> Sequence[ScheduleItem]:
    """Without those that were forgotten meanwhile."""
    return tuple(await asyncio.gather(*[_item(plane, one) for one in found if one is not None]))


async def _item(plane: Plane, standing: Standing) -> ScheduleItem:
    schedule, newest = standing.whole, standing.newest
    spec, repetition = schedule.spec, schedule.repetition
    assert repetition is not None
    periodic = spec.repeat_mode is RepeatMode.PERIOD
    times = _times(spec) if periodic else None
    return ScheduleItem(
        invoke_id=spec.id,
        command_id=spec.command.id,
        command_name=spec.command.name,
        repeat_mode=spec.repeat_mode,
        frequency=spec.frequency,
        zone=times.zone if times else "",
        words=times.describe() if times else _WORDS[spec.repeat_mode],
        misfire=spec.misfire if periodic else "",
        jitter=spec.jitter_s,
        state=_state(schedule),
        instances=schedule.total,
        creation_time=time_text(spec.created_ms),
        next_time=time_text(standing.next_ms or 0),
        rounds=repetition.rounds,
        missed=repetition.missed,
        invocation_status=invocation_status(schedule.tally),
        last=await _round(plane, newest) if newest else None,
    )


def _times(spec: InvocationSpec) -> Schedule | None:
    """None: a newer version has written it. The others are listed all the same."""
    try:
        return times_of(spec.timing).schedule
    except Refused:
        return None


def _state(schedule: Invocation) -> str:
    repetition = schedule.repetition
    assert repetition is not None
    if schedule.finish_ms:
        return "closed"
    if repetition.ended:
        return repetition.ended
    return "paused" if repetition.paused else "active"


async def _round(plane: Plane, one: Invocation) -> RoundItem:
    firing = one.firing
    assert firing is not None
    skipped = (
        await plane.store.schedules.skipped(one.spec.id, one.round, limit=SKIPPED_SHOWN)
        if firing.skipped
        else ()
    )
    return RoundItem(
        round=one.round,
        why=firing.why,
        due_time=exact_time_text(firing.at_ms),
        opened_time=exact_time_text(firing.opened_ms),
        finish_time=time_text(one.finish_ms),
        invocation_status=invocation_status(one.tally) if one.total else "",
        counts={status.value: one.tally[status] for status in RunStatus if one.tally.get(status)},
        total=one.total,
        skipped=firing.skipped,
        skipped_instance_id=tuple(skipped),
    )
