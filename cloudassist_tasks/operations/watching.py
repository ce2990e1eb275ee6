"""Somebody looks at runs as they go: nobody-followed ones are followed again."""

import logging
from collections.abc import Iterable

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.status import FINAL
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log


async def hurry(plane: Plane, runs: Iterable[Run]) -> None:
    """Have the open ones among `runs` that were let go followed again, now. A broker that is away is no
    reason to show nothing: they are due in the store and found there."""
    keys = [run.key for run in runs if run.status not in FINAL]
    if not keys:
        return
    due = await plane.store.runs.hurry(keys, now_ms=plane.clock.now_ms())
    if not due:
        return
    try:
        await plane.dispatch.publish(due, express=True, again=True)
    except Broken as error:
        log("publish_failed", logging.WARNING, runs=len(due), error=str(error))
