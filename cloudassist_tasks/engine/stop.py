"""Stop an invocation, on all or some of its instances.

What was never claimed is Cancelled here and now. What a worker carries it is told to stop; what nobody
follows is published, so that somebody stops it. When each is verified it becomes Terminated.
"""

import logging
from collections.abc import Sequence

from cloudassist_tasks.domain.errors import Broken, Kind, Refused, StoreFull
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey
from cloudassist_tasks.domain.invocation import Invocation, Misfire
from cloudassist_tasks.engine.caps import heed_caps
from cloudassist_tasks.engine.close import closed
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import planned, with_no_late_round
from cloudassist_tasks.logs import log

CHUNK = 1_000
"""Runs asked to stop in one step of the store: bounds how long it is busy."""


async def stop(plane: Plane, invoke_id: InvokeId, instance_ids: Sequence[InstanceId] | None = None) -> None:
    """Returns once every run is asked to stop; their ends follow. Repeating it, or stopping what has ended,
    changes nothing. `Refused`: INVOCATION_NOT_FOUND, INSTANCE_NOT_IN_INVOCATION."""
    invocation = await plane.store.invocations.get(invoke_id)
    if invocation is None:
        raise Refused(
            Kind.INVOCATION_NOT_FOUND, f"no invocation {invoke_id}; see `cloudassist invocation ls`"
        )
    log("stop_requested", invoke_id=invoke_id, instances=len(instance_ids) if instance_ids else "all")
    repeats = invocation.repetition is not None
    if instance_ids is not None:
        if strangers := await plane.store.invocations.not_members(invoke_id, instance_ids):
            raise Refused(
                Kind.INSTANCE_NOT_IN_INVOCATION,
                f"{', '.join(strangers[:5])} not in invocation {invoke_id};"
                f" see `cloudassist invocation show {invoke_id}`",
            )
        if repeats and not await _wants_late_round(plane, invocation, instance_ids):
            await _record_missed(plane, invoke_id)
        for start in range(0, len(instance_ids), CHUNK):
            chunk = instance_ids[start : start + CHUNK]
            if repeats:
                await _end_chunk(plane, invoke_id, chunk, leave=True)
            else:
                await _stop_chunk(plane, invocation.of, chunk)
        if invocation.spec.caps.max_concurrency:
            await heed_caps(plane, invoke_id)
        return
    if repeats:
        await _record_missed(plane, invoke_id)
        await plane.store.schedules.end(invoke_id, now_ms=plane.clock.now_ms())
        await end_parts(plane, invocation, stopping=True)
        return
    await plane.store.invocations.mark_stop(invoke_id, now_ms=plane.clock.now_ms())
    await stop_marked(plane, invocation)


async def stop_marked(plane: Plane, invocation: Invocation) -> None:
    """Ask every run of an invocation that is marked as stopped; also to finish what a dead process began."""
    start, of = 0, invocation.of
    while members := await plane.store.invocations.members(
        of.invoke_id, round=of.round, start=start, limit=CHUNK
    ):
        await _stop_chunk(plane, invocation.of, members)
        start += len(members)


async def _wants_late_round(plane: Plane, schedule: Invocation, leaving: Sequence[InstanceId]) -> bool:
    """Whether others stay in it, who are to make up for what was missed."""
    if schedule.spec.timing.misfire is Misfire.SKIP:
        return False
    start, invoke_id, gone = 0, schedule.spec.id, set(leaving)
    while members := await plane.store.invocations.members(invoke_id, start=start, limit=CHUNK):
        if set(await plane.store.schedules.staying(invoke_id, members)) - gone:
            return True
        start += len(members)
    return False


async def _record_missed(plane: Plane, invoke_id: InvokeId) -> None:
    """Times that a schedule has missed, no beat being up, do not vanish with it. Nothing is run for them, nor
    for a time that is due this moment."""
    [stands_ms] = await plane.store.schedules.next_of([invoke_id])  # first: what is read after it holds at it
    schedule = await plane.store.invocations.get(invoke_id)
    now_ms = plane.clock.now_ms()
    if schedule is None or stands_ms is None or stands_ms > now_ms:
        return
    try:
        found = planned(plane, with_no_late_round(schedule, stands_ms), now_ms)
        if found.plan.missed:
            await plane.store.schedules.fire([found], batch=plane.limits.batch, now_ms=now_ms)
    except Exception as error:
        if isinstance(error, Broken) and not isinstance(error, StoreFull):
            raise  # the caller repeats it
        # a full store, or times that a newer version has written: a stop gets through
        log("missed_not_recorded", logging.WARNING, invoke_id=invoke_id, error=repr(error))


async def end_parts(plane: Plane, invocation: Invocation, *, stopping: bool = False) -> None:
    """End every member's part in a schedule that has ended: those that wait at once; the open runs are
    stopped, if that is why, and else go on to their end. Also to finish what a dead process began."""
    stopping = stopping or (invocation.repetition is not None and invocation.repetition.ended == "stopped")
    invoke_id, start = invocation.spec.id, 0
    while members := await plane.store.invocations.members(invoke_id, start=start, limit=CHUNK):
        await _end_chunk(plane, invoke_id, members, leave=False, stopping=stopping)
        start += len(members)


async def _end_chunk(
    plane: Plane, invoke_id: InvokeId, ids: Sequence[InstanceId], *, leave: bool, stopping: bool = True
) -> None:
    ended = await plane.store.schedules.end_parts(invoke_id, ids, leave=leave, now_ms=plane.clock.now_ms())
    if ended.closed:
        await closed(plane, invoke_id)
    if stopping:
        for round_, busy in ended.busy.items():
            await _stop_chunk(plane, RoundKey(invoke_id, round_), busy)


async def _stop_chunk(plane: Plane, of: RoundKey, ids: Sequence[InstanceId]) -> None:
    invoke_id, now_ms = of.invoke_id, plane.clock.now_ms()
    stopped = await plane.store.invocations.stop_runs(
        invoke_id, ids, round=of.round, now_ms=now_ms, deadline_ms=now_ms + 1_000 * plane.limits.grace_s
    )
    try:
        if stopped.adrift:
            await plane.dispatch.publish(stopped.adrift, express=True, again=True)
        if stopped.published:
            await plane.dispatch.revoke(stopped.published)
    except Broken as error:  # the flags stand in the store, and reconcile publishes what is due
        log("publish_failed", logging.WARNING, invoke_id=invoke_id, error=str(error))
    if stopped.closed:
        await closed(plane, invoke_id, round=of.round)
