"""What an invocation's caps ask for when one of its runs has ended: more to be published, or no more.

The store keeps to the caps in its own steps (`domain/caps.py`); here is what follows from them and may be
done late. If the process that should do it dies, reconcile does.
"""

import logging

from cloudassist_tasks.domain.caps import outcome_of_halt
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.close import closed
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log

CHUNK = 1_000
"""Runs ended in one step of the store: bounds how long it is busy."""


async def heed_caps(plane: Plane, invoke_id: InvokeId, *, round: int = 0) -> None:
    """Publish what the cap has room for; or, after one failure too many, end what has not begun. A store that
    is away is no error: reconcile comes back to it."""
    try:
        invocation = await plane.store.invocations.get(invoke_id, round=round)
        if invocation is None or invocation.finish_ms:
            return
        if not invocation.halt_ms:
            express = invocation.total <= plane.limits.express_instances
            await publish.refill(plane, invoke_id, round=round, express=express)
            return
        log("invocation_halted", logging.WARNING, invoke_id=invoke_id, round=round)
        await end_halted(plane, invocation)
    except Broken as error:
        log("caps_not_heeded", logging.WARNING, invoke_id=invoke_id, error=str(error))


async def end_halted(plane: Plane, invocation: Invocation) -> None:
    """End what has not begun of an invocation in which too many runs have failed."""
    allowed = invocation.spec.caps.errors(invocation.total) or 0
    await end_not_begun(plane, invocation, outcome_of_halt(allowed))


async def end_not_begun(plane: Plane, invocation: Invocation, outcome: Outcome) -> None:
    """End every run that is in nobody's hands and was never launched."""
    store, invoke_id, round_, start = plane.store.invocations, invocation.spec.id, invocation.round, 0
    while members := await store.members(invoke_id, round=round_, start=start, limit=CHUNK):
        start += len(members)
        if await store.abort_unclaimed(
            invoke_id, members, round=round_, outcome=outcome, now_ms=plane.clock.now_ms()
        ):
            await closed(plane, invoke_id, round=round_)
