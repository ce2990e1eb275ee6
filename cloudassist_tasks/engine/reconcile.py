"""Put right what died half-way: dead workers' runs, lost messages, runs past their time.

Run every few seconds by every worker and every beat; each step is shared out by the store, so that any
number of them do the work once. Nothing here is needed while nothing dies.
"""

import asyncio
import logging
from dataclasses import replace

from cloudassist_tasks.domain.errors import Broken, ErrorCode, RunFailed
from cloudassist_tasks.domain.ids import RoundKey, RunKey
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, InvocationSpec, Run
from cloudassist_tasks.domain.outcome import NOT_STARTED, HostWord, Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import boots, power, publish
from cloudassist_tasks.engine.cancel import cancel
from cloudassist_tasks.engine.caps import end_halted, end_not_begun
from cloudassist_tasks.engine.complete import believed, complete, complete_reported
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.lost_messages import Looking, lost_messages
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.stop import end_parts, stop_marked
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.store import Claim, ClaimWord
from cloudassist_tasks.ports.transport import Report

LEASES = 3
"""What was handed out to be looked at is handed out again after so many leases of a worker, if nothing came
of it."""
AT_A_TIME = 500
FENCES_AT_ONCE = 200
"""Hosts of given-up runs that one process asks at the same time."""
FENCE_WITHIN_S = 20
FENCE_TRIES, FENCE_AGAIN_S = 3, 1.0
"""Of a run past its deadline, within that time: an sshd that drops one connection is not silent, nor is
it when the store that its contacts are kept in is away for a moment."""
OPEN_AT_A_TIME = 1_000
RETENTION_EVERY_MS = 3_600_000
DROP_EVENTS_EVERY_MS = 30_000
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
        *(_bury_the_dead, _expire_overdue, _fence, _publish_due, _mend_open, _expire_power),
        *(_look_for_boots, _forget_old, _drop_old_events),
    )
    for step in steps:
        try:
            await step(worker)
        except Broken as error:
            log("reconcile_failed", logging.WARNING, step=step.__name__, error=str(error))
        except Exception as error:  # a fault of ours must not end the mending of everything else
            log("reconcile_failed", logging.ERROR, step=step.__name__, error=repr(error))


def _leases_ms(worker: Worker, leases: int) -> int:
    return int(1_000 * leases * worker.plane.settings.lease_s)


async def _bury_the_dead(worker: Worker) -> None:
    """The claims of a worker that has stopped beating are given up; its runs are due at once."""
    plane = worker.plane
    before_ms = plane.clock.now_ms() - int(1_000 * plane.settings.lease_s)
    for dead in await plane.store.workers.dead(before_ms=before_ms):
        taken = 0
        while buried := await plane.store.workers.bury(
            dead, before_ms=before_ms, now_ms=plane.clock.now_ms()
        ):
            taken += buried
        log("worker_dead", logging.WARNING, worker=dead, runs=taken)


async def _publish_due(worker: Worker) -> None:
    """What waits for somebody to go on with it: messages of runs, and instances to collect. With no worker up
    nothing is published: messages would only pile up, and the first worker to come publishes them."""
    plane = worker.plane
    if worker.info.kind != WORKER and all(info.kind != WORKER for info in await plane.store.workers.all()):
        return
    more = True
    while more:
        keys, instances = await plane.store.runs.take_due(
            now_ms=plane.clock.now_ms(), lease_ms=_leases_ms(worker, LEASES), limit=AT_A_TIME
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


# -- runs past their time


async def _expire_overdue(worker: Worker) -> None:
    """Beside the pass: a host that is silent holds up nothing but its own runs. What remains of the grace is
    for asking it: by the deadline the run has ended."""
    plane = worker.plane
    room = FENCES_AT_ONCE - worker.expiring
    if room <= 0:
        return
    ahead_s = min(FENCE_WITHIN_S + plane.settings.reconcile_s, plane.limits.grace_s / 2)
    for key in await plane.store.runs.take_overdue(
        now_ms=plane.clock.now_ms() + int(1_000 * ahead_s),
        lease_ms=_leases_ms(worker, LEASES) + 1_000 * FENCE_WITHIN_S,
        limit=room,
    ):
        worker.expiring += 1
        worker.spawn(_expire(worker, key))


async def _expire(worker: Worker, key: RunKey) -> None:
    """Fence the run on its host if that answers; it ends in any case."""
    plane, limits = worker.plane, worker.plane.limits
    try:
        claim = await plane.store.runs.claim(
            key,
            worker=worker.id,
            now_ms=plane.clock.now_ms(),
            at_once=limits.instance_runs,
            may_wait=limits.instance_waiting,
            force=True,
        )
        if claim.word is not ClaimWord.HELD or claim.held is None or claim.run is None:
            return
        with worker.carrying(claim.held):
            (output,) = await insist(lambda: plane.store.runs.output([key]))
            if not await _ended_on_host(worker, claim, output):
                at_ms = plane.clock.now_ms() + _leases_ms(worker, LEASES)
                await insist(lambda: plane.store.runs.fence_later(key, at_ms=at_ms))
                await complete(plane, claim.held, _given_up(claim.run), output=output)
    finally:
        worker.expiring -= 1


async def _ended_on_host(worker: Worker, claim: Claim, output: BoundedOutput) -> bool:
    """Whether the host has said how the run ended, after stopping it if need be; then that is stored."""
    try:
        async with asyncio.timeout(FENCE_WITHIN_S):
            report = await _fenced_report(worker, claim, seen=output.total)
    except (RunFailed, Broken, TimeoutError) as fault:
        log(
            "overdue_silent",
            logging.WARNING,
            run=claim.held and claim.held.key.run_id,
            fault=str(fault) or "no answer in time",
        )
        return False
    return report is not None and await _record(worker, claim, report, output)


async def _fenced_report(worker: Worker, claim: Claim, *, seen: int) -> Report | None:
    assert claim.held is not None
    spec = await worker.spec(claim.held.key)
    if claim.instance is None or spec is None:
        return None
    for _ in range(FENCE_TRIES - 1):
        try:
            return await _fenced(worker, claim, spec, claim.instance, seen=seen)
        except (RunFailed, Broken) as fault:
            if not fault.retry_helps:
                raise
        await asyncio.sleep(FENCE_AGAIN_S)
    return await _fenced(worker, claim, spec, claim.instance, seen=seen)


async def _fenced(
    worker: Worker, claim: Claim, spec: InvocationSpec, instance: Instance, *, seen: int
) -> Report:
    assert claim.held is not None
    async with reached(worker.plane, instance, claim.contact) as it:
        return await cancel(it.host, claim.held.key.run_id, user=spec.username, seen=seen)


async def _record(worker: Worker, claim: Claim, report: Report, output: BoundedOutput) -> bool:
    assert claim.held is not None
    assert claim.run is not None
    key = claim.held.key
    spec = await insist(lambda: worker.spec(key))
    if report.result is None or spec is None:
        return False
    result, stop_requested = believed(report.result, claim.run, report.boot_id), claim.run.stop_requested
    for piece in report.output:
        output.add(piece.offset, piece.data)
    if result.word is HostWord.CANCELED and not stop_requested:  # by our own fence
        if result.code == NOT_STARTED:
            await complete(worker.plane, claim.held, _not_delivered(claim.run), output=output)
            return True
        result = replace(result, word=HostWord.TIMEOUT)  # it ran past its timeout
    await complete_reported(
        worker.plane, claim.held, spec, result, output=output, stop_requested=stop_requested
    )
    return True


def _not_delivered(run: Run) -> Outcome:
    """The end of a run whose script was not sent until past all deadlines; nobody has asked for a stop."""
    return Outcome(
        status=RunStatus.ABORTED,
        error_code=ErrorCode.DELIVERY_TIMEOUT,
        error_info=f"the script did not reach {run.key.instance_id} until past the run's timeout and grace;"
        " it will not start any more",
    )


def _given_up(run: Run) -> Outcome:
    """The end of a run whose host stayed silent past all deadlines."""
    if run.stop_requested:
        return Outcome(
            status=RunStatus.ERROR,
            error_code=ErrorCode.TERMINATION_EXCEPTION,
            error_info=f"{run.key.instance_id} did not answer the stop in time; it is stopped there once the"
            " instance answers",
        )
    return Outcome(
        status=RunStatus.ERROR,
        error_code=ErrorCode.EXECUTION_INTERRUPTED,
        error_info=f"{run.key.instance_id} did not answer until past the run's timeout and grace; what"
        " became of the script is unknown",
    )


async def _fence(worker: Worker) -> None:
    """Runs that were given up while their host was silent: stop them as soon as it answers."""
    plane = worker.plane
    room = FENCES_AT_ONCE - worker.fencing
    if room <= 0:
        return
    for key in await plane.store.runs.take_fences(
        now_ms=plane.clock.now_ms(), lease_ms=2 * _leases_ms(worker, LEASES), limit=room
    ):
        worker.fencing += 1
        worker.spawn(_fence_given_up(worker, key))


async def _fence_given_up(worker: Worker, key: RunKey) -> None:
    try:
        await _try_to_fence(worker, key)
    except (RunFailed, Broken, TimeoutError) as fault:  # handed out again after its lease
        log("fence_failed", logging.DEBUG, run=key.run_id, fault=str(fault) or "no answer in time")
    finally:
        worker.fencing -= 1


async def _try_to_fence(worker: Worker, key: RunKey) -> None:
    plane = worker.plane
    instance = await plane.store.instances.get(key.instance_id)
    spec = await worker.spec(key)
    if instance is None or spec is None:
        await plane.store.runs.fenced(key, late_result="unknown: the instance or the invocation is gone")
        return
    contact = (await plane.store.instances.contacts([instance.id]))[instance.id]
    async with asyncio.timeout(FENCE_WITHIN_S), reached(plane, instance, contact) as it:
        report = await it.host.cancel(key.run_id, user=spec.username)
    if report.result is not None:
        exit_code = "" if report.result.exit_code is None else f" {report.result.exit_code}"
        late_result = f"{report.result.word}{exit_code}"
        await plane.store.runs.fenced(key, late_result=late_result)
        log("fenced_late", run=key.run_id, result=late_result)


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


async def _drop_old_events(worker: Worker) -> None:
    plane, settings = worker.plane, worker.plane.settings
    if await plane.store.turn("events", for_ms=DROP_EVENTS_EVERY_MS):
        before_ms = plane.clock.now_ms() - 1_000 * settings.events_s
        await plane.store.events.trim(before_ms=before_ms, at_most=settings.events_max)


async def _forget_old(worker: Worker) -> None:
    plane = worker.plane
    if await plane.store.turn("retention", for_ms=RETENTION_EVERY_MS):
        for kind, kept_s in (
            (InvocationKind.COMMAND, plane.limits.retention_s),
            (InvocationKind.FILE, plane.limits.file_retention_s),
        ):
            before_ms = plane.clock.now_ms() - 1_000 * kept_s
            while await plane.store.invocations.forget_older_than(before_ms, limit=AT_A_TIME, kind=kind):
                pass
        await _forget_old_rounds(plane)


async def _forget_old_rounds(plane: Plane) -> None:
    """Of open schedules: by number, and by age as whole invocations."""
    limits, after = plane.limits, 0
    before_ms = plane.clock.now_ms() - 1_000 * limits.retention_s
    while ids := await plane.store.schedules.open_ids(limit=OPEN_AT_A_TIME, after=after):
        after += len(ids)
        for invoke_id in ids:
            await plane.store.schedules.forget_rounds(invoke_id, keep=limits.rounds_kept, before_ms=before_ms)
