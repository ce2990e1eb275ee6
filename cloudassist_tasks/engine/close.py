"""What is done once the last open run of an invocation has ended, by whoever ended it."""

from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.rollup import invocation_status
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log


async def closed(plane: Plane, invoke_id: InvokeId, *, round: int = 0) -> None:
    """The last open run has ended: said once, by whoever ended it."""
    invocation = await insist(lambda: plane.store.invocations.get(invoke_id, round=round))
    if invocation is not None:
        log(
            "round_closed" if round else "invocation_closed",
            invoke_id=invoke_id,
            round=round,
            status=invocation_status(invocation.tally),
            counts={status.value: n for status, n in invocation.tally.items()},
            took_ms=invocation.finish_ms - invocation.opened_ms,
        )
        if invocation.spec.deliveries:
            plane.closed.set()
