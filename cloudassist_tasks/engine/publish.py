"""Tell workers of runs, no more of them at once than the window allows.

The window keeps a large invocation from filling the broker and from standing before small ones; a claim
that leaves it low has the next batch published. Whatever is lost between reserving and publishing is
found by reconcile.
"""

import logging

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log


async def refill(
    plane: Plane, invoke_id: InvokeId, *, round: int = 0, express: bool = False, first: bool = False
) -> int:
    """Publish batches until the window is full or nothing is left; how many runs were published. After the
    `first` time it is full once no batch is wanted.

    A broker that is away leaves them reserved: nothing is raised, reconcile publishes them.
    """
    limits = plane.limits
    published = 0
    while keys := await plane.store.invocations.reserve(
        invoke_id,
        round=round,
        batch=limits.batch,
        window=limits.window,
        low=limits.window if first else limits.window_low,
        now_ms=plane.clock.now_ms(),
    ):
        try:
            await plane.dispatch.publish(keys, express=express)
        except Broken as error:
            log("publish_failed", logging.WARNING, invoke_id=invoke_id, runs=len(keys), error=str(error))
            break
        published += len(keys)
    return published
