"""Give up the claim of a run that has not ended, so that another goes on with it.

Called by `execute` where it stops carrying: the run is let go, or a fault of ours or a revoked task came
between. A launched run goes on on its host meanwhile.
"""

import logging

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.engine.follow import LettingGo
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.worker import LetGo, Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.runs import Held


async def hand_over(worker: Worker, held: Held, *, adrift: bool, look_in_s: float) -> None:
    """Give the claim back after a fault, so that another goes on. `adrift`: it was launched."""
    with worker.carrying(held):
        now_ms = worker.plane.clock.now_ms()
        await insist(
            lambda: worker.plane.store.runs.give_back(
                held, look_at_ms=now_ms + int(1_000 * look_in_s), adrift=adrift, now_ms=now_ms
            )
        )


async def let_go(
    plane: Plane, held: Held, letting: LettingGo, *, launched: bool, output: BoundedOutput
) -> None:
    """Stop following: the output so far is kept, and the run is looked at when `letting` says."""
    log("run_let_go", why=letting.why, look_in_s=letting.look_in_s)
    if letting.why is LetGo.BURIED:
        return
    adrift = launched and letting.why is not LetGo.DRAIN
    now_ms = plane.clock.now_ms()
    look_at_ms = now_ms + int(1_000 * letting.look_in_s)
    if launched and output.total:
        await insist(lambda: plane.store.runs.record_output(held, output, now_ms=now_ms))
    given = await insist(
        lambda: plane.store.runs.give_back(held, look_at_ms=look_at_ms, adrift=adrift, now_ms=now_ms)
    )
    if given and not adrift:
        try:
            await plane.dispatch.publish([held.key], express=True, again=True)
        except Broken as error:  # it stands in the store as due
            log("publish_failed", logging.WARNING, error=str(error))
