"""What has been kept long enough is dropped: closed invocations, rounds of schedules, events.

Called in each pass of `reconcile`; by turns, so that one process does it for all.
"""

from cloudassist_tasks.domain.invocation import InvocationKind
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.worker import Worker

AT_A_TIME = 500
SCHEDULES_AT_A_TIME = 1_000
RETENTION_EVERY_MS = 3_600_000
RETENTION_WHEN_FULL_EVERY_MS = 60_000
"""While the store has no room for new work: somebody waits, and may have had less kept just now."""
DROP_EVENTS_EVERY_MS = 30_000


async def drop_old_events(worker: Worker) -> None:
    plane, settings = worker.plane, worker.plane.settings
    if await plane.store.turn("events", for_ms=DROP_EVENTS_EVERY_MS):
        before_ms = plane.clock.now_ms() - 1_000 * settings.events_s
        await plane.store.events.trim(before_ms=before_ms, at_most=settings.events_max)


async def forget_old(worker: Worker) -> None:
    plane = worker.plane
    if await _retention_is_ours(plane):
        for kind, kept_s in (
            (InvocationKind.COMMAND, plane.limits.retention_s),
            (InvocationKind.FILE, plane.limits.file_retention_s),
        ):
            before_ms = plane.clock.now_ms() - 1_000 * kept_s
            while await plane.store.invocations.forget_older_than(before_ms, limit=AT_A_TIME, kind=kind):
                pass
        await _forget_old_rounds(plane)


async def _retention_is_ours(plane: Plane) -> bool:
    if await plane.store.turn("retention", for_ms=RETENTION_EVERY_MS):
        return True
    return await plane.store.is_full() and await plane.store.turn(
        "retention-when-full", for_ms=RETENTION_WHEN_FULL_EVERY_MS
    )


async def _forget_old_rounds(plane: Plane) -> None:
    """Of open schedules: by number, and by age as whole invocations."""
    limits, after = plane.limits, 0
    before_ms = plane.clock.now_ms() - 1_000 * limits.retention_s
    while ids := await plane.store.schedules.open_ids(limit=SCHEDULES_AT_A_TIME, after=after):
        after += len(ids)
        for invoke_id in ids:
            await plane.store.schedules.forget_rounds(invoke_id, keep=limits.rounds_kept, before_ms=before_ms)
