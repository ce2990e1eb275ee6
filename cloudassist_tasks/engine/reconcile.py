"""Put right what died half-way: dead workers' runs, lost messages, runs past their time.

Run every few seconds by every worker and every beat; each step is shared out by the store, so that any
number of them do the work once. Nothing here is needed while nothing dies.
"""

import asyncio
import logging

from cloudassist_tasks.domain.errors import Broken, ErrorCode
from cloudassist_tasks.domain.ids import RoundKey
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import boots, power, publish
from cloudassist_tasks.engine.caps import end_halted, end_not_begun
from cloudassist_tasks.engine.lost_messages import Looking, lost_messages
from cloudassist_tasks.engine.overdue import expire_overdue, fence_given_up
from cloudassist_tasks.engine.retention import drop_old_events, forget_old
from cloudassist_tasks.engine.stop import end_parts, stop_marked
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log

AT_A_TIME = 500
OPEN_AT_A_TIME = 1_000
HANDED_OUT_LEASES = 3
"""What was published to be looked at is published again after so many leases of a worker, if nothing came
of it."""
WORKER = "worker"
"""The kind of process that takes messages; a beat does not."""


async def reconcile_for_ever(worker: Worker) -> None:
    """A pass every `reconcile_s`, until cancelled. A store or broker that is away is tried again."""
    while not worker.draining:
        await reconcile(worker)
        await asyncio.sleep(worker.plane.settings.reconcile_s)


async def reconcile(worker: Worker) -> None:
    """One pass. A step that fails keeps no other from its work: a broker that is away does not keep runs
    past their time open."""
    steps = (
        *(_bury_the_dead, _end_overdue, _publish_due, _mend_open, _expire_power),
        *(_look_for_boots, forget_old, drop_old_events),
    )
    for step in steps:
        try:
            await step(worker)
        except Broken as error:
            log("reconcile_failed", logging.WARNING, step=step.__name__, error=str(error))
        except Exception as error:  # a fault of ours must not end the mending of everything else
            log("reconcile_failed", logging.ERROR, step=step.__name__, error=repr(error))


async def _bury_the_dead(worker: Worker) -> None:
    """The claims of a worker that has stopped beating are given up; its runs are due at once. We are not
    dead: after a sleep of ours our own heartbeat is only late."""
    plane = worker.plane
    before_ms = plane.clock.now_ms() - int(1_000 * plane.settings.lease_s)
    for dead in await plane.store.workers.dead(before_ms=before_ms):
        if dead == worker.id:
            continue
        taken = 0
        while buried := await plane.store.workers.bury(
            dead, before_ms=before_ms, now_ms=plane.clock.now_ms()
        ):
            taken += buried
        log("worker_dead", logging.WARNING, worker=dead, runs=taken)


async def _end_overdue(worker: Worker) -> None:
    """A worker's business, since it can reach the hosts; with none up a beat must do it, for runs to end."""
    if worker.info.kind == WORKER or not await _a_worker_is_up(worker):
        await expire_overdue(worker)
        await fence_given_up(worker)


async def _a_worker_is_up(worker: Worker) -> bool:
    return any(info.kind == WORKER for info in await worker.plane.store.workers.all())


async def _publish_due(worker: Worker) -> None:
    """What waits for somebody to go on with it: messages of runs, and instances to collect. With no worker up
    nothing is published: messages would only pile up, and the first worker to come publishes them."""
    plane = worker.plane
    if worker.info.kind != WORKER and not await _a_worker_is_up(worker):
        return
    handed_out_ms = int(1_000 * HANDED_OUT_LEASES * plane.settings.lease_s)
    more = True
    while more:
        keys, instances = await plane.store.runs.take_due(
            now_ms=plane.clock.now_ms(), lease_ms=handed_out_ms, limit=AT_A_TIME
        )
        if keys:
            await plane.dispatch.publish(keys, express=True, again=True)
        if instances:
            await plane.dispatch.publish_collect(instances)
        more = max(len(keys), len(instances)) >= AT_A_TIME


async def _expire_power(worker: Worker) -> None:
    await power.expire(worker.plane)


async def _look_for_boots(worker: Worker) -> None:
    """A worker's business: it is where the hosts can be reached."""
    if worker.info.kind == WORKER:
        await boots.look(worker)


# -- open invocations


async def _mend_open(worker: Worker) -> None:
    """Finish what a dead process began: publishing, stopping, giving up what nobody ever claimed."""
    plane = worker.plane
    if not await plane.store.turn("open-invocations", for_ms=int(1_000 * plane.settings.reconcile_s)):
        return
    looking = Looking(queues_empty=await plane.dispatch.waiting() == 0)
    after = 0
    while open_ := await plane.store.invocations.open_rounds(limit=OPEN_AT_A_TIME, after=after):
        after += len(open_)
        for of in open_:
            await _mend(worker, of, looking)


async def _mend(worker: Worker, of: RoundKey, looking: Looking) -> None:
    plane, now_ms, invoke_id = worker.plane, worker.plane.clock.now_ms(), of.invoke_id
    invocation = await plane.store.invocations.get(invoke_id, round=of.round)
    if invocation is None or invocation.finish_ms:
        return
    if invocation.repetition is not None:
        await end_parts(plane, invocation)
        return
    pending, running = (invocation.tally.get(status, 0) for status in (RunStatus.PENDING, RunStatus.RUNNING))
    if invocation.stop_ms and pending + running:
        await stop_marked(plane, invocation)
    if invocation.stop_ms or not pending:
        return
    if invocation.halt_ms:
        await end_halted(plane, invocation)
        return
    if now_ms - invocation.opened_ms > 1_000 * plane.limits.max_queue_s:
        await _abort_unclaimed(worker, invocation)
        return
    lost = await lost_messages(plane, invocation, looking)
    express = invocation.total <= plane.limits.express_instances
    if lost:
        log("published_again", logging.WARNING, invoke_id=invoke_id, round=of.round, runs=len(lost))
        await plane.dispatch.publish(lost, express=express, again=True)
    if invocation.published < invocation.total:
        await publish.refill(plane, invoke_id, round=of.round, express=express)


async def _abort_unclaimed(worker: Worker, invocation: Invocation) -> None:
    plane = worker.plane
    outcome = Outcome(
        status=RunStatus.ABORTED,
        error_code=ErrorCode.DELIVERY_TIMEOUT,
        error_info=f"no worker took it within {plane.limits.max_queue_s} s; start workers, then retry",
    )
    await end_not_begun(plane, invocation, outcome)
