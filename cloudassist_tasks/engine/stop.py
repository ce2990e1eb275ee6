"""Stop an invocation, on all or some of its instances.

What was never claimed is Cancelled here and now. What a worker carries it is told to stop; what nobody
follows is published, so that somebody stops it. When each is verified it becomes Terminated.
"""

import logging
from collections.abc import Sequence

from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.engine.caps import heed_caps
from cloudassist_tasks.engine.close import closed
from cloudassist_tasks.engine.plane import Plane
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
    if instance_ids is not None:
        if strangers := await plane.store.invocations.not_members(invoke_id, instance_ids):
            raise Refused(
                Kind.INSTANCE_NOT_IN_INVOCATION,
                f"{', '.join(strangers[:5])} not in invocation {invoke_id};"
                f" see `cloudassist invocation show {invoke_id}`",
            )
        for start in range(0, len(instance_ids), CHUNK):
            await _stop_chunk(plane, invocation, instance_ids[start : start + CHUNK])
        if invocation.spec.caps.max_concurrency:
            await heed_caps(plane, invoke_id)
        return
    await plane.store.invocations.mark_stop(invoke_id, now_ms=plane.clock.now_ms())
    await stop_marked(plane, invocation)


async def stop_marked(plane: Plane, invocation: Invocation) -> None:
    """Ask every run of an invocation that is marked as stopped; also to finish what a dead process began."""
    start = 0
    while members := await plane.store.invocations.members(invocation.spec.id, start=start, limit=CHUNK):
        await _stop_chunk(plane, invocation, members)
        start += len(members)


async def _stop_chunk(plane: Plane, invocation: Invocation, ids: Sequence[InstanceId]) -> None:
    invoke_id, now_ms = invocation.spec.id, plane.clock.now_ms()
    stopped = await plane.store.invocations.stop_runs(
        invoke_id, ids, round=0, now_ms=now_ms, deadline_ms=now_ms + 1_000 * plane.limits.grace_s
    )
    try:
        if stopped.adrift:
            await plane.dispatch.publish(stopped.adrift, express=True, again=True)
        if stopped.published:
            await plane.dispatch.revoke(stopped.published)
    except Broken as error:  # the flags stand in the store, and reconcile publishes what is due
        log("publish_failed", logging.WARNING, invoke_id=invoke_id, error=str(error))
    if stopped.closed:
        await closed(plane, invoke_id)
