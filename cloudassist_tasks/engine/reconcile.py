"""Put right what died half-way: dead workers' runs, lost messages, runs past their time.

Run every few seconds by every worker and every beat; each step is shared out by the store, so that any
number of them do the work once. Nothing here is needed while nothing dies.
"""

import asyncio
import logging
from dataclasses import replace

from cloudassist_tasks.domain.errors import Broken, ErrorCode, RunFailed
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.outcome import HostWord, Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.complete import closed, complete, complete_reported
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.stop import CHUNK, stop_marked
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.store import Claim, ClaimWord
from cloudassist_tasks.ports.transport import Report

LEASE_MS = 30_000
"""What was handed out to be looked at is handed out again after this, if nothing came of it."""
AT_A_TIME = 200
FENCES_AT_ONCE = 20
FENCE_WITHIN_S = 30
LOST_AFTER_MS = 10_000
"""A published run that is not claimed by then was lost, if no message waits in the queue."""
QUEUED_AFTER_MS = 60_000
"""… and is published again after this (or half of the invocation's age) even if messages wait."""
OPEN_AT_A_TIME = 1_000
RETENTION_EVERY_MS = 3_600_000


async def reconcile_for_ever(worker: Worker) -> None:
    """A pass every `reconcile_s`, until cancelled. A store or broker that is away is tried again."""
    while not worker.draining:
        try:
            await reconcile(worker)
        except Broken as error:
            log("reconcile_failed", logging.WARNING, error=str(error))
        await asyncio.sleep(worker.plane.settings.reconcile_s)


async def reconcile(worker: Worker) -> None:
    """One pass."""
    plane = worker.plane
    await _bury_the_dead(worker)
    keys, instances = await plane.store.runs.take_due(
        now_ms=plane.clock.now_ms(), lease_ms=LEASE_MS, limit=AT_A_TIME
    )
    if keys:
        await plane.dispatch.publish(keys, express=True)
    if instances:
        await plane.dispatch.publish_collect(instances)
    await _expire_overdue(worker)
    await _fence(worker)
    period_ms = int(1_000 * plane.settings.reconcile_s)
    if await plane.store.turn("open-invocations", for_ms=period_ms):
        await _mend_open(worker)
    if await plane.store.turn("retention", for_ms=RETENTION_EVERY_MS):
        before_ms = plane.clock.now_ms() - 1_000 * plane.limits.retention_s
        while await plane.store.invocations.forget_older_than(before_ms, limit=AT_A_TIME):
            pass


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


# -- runs past their time


async def _expire_overdue(worker: Worker) -> None:
    plane = worker.plane
    overdue = await plane.store.runs.take_overdue(
        now_ms=plane.clock.now_ms(), lease_ms=LEASE_MS + 1_000 * FENCE_WITHIN_S, limit=AT_A_TIME
    )
    if overdue:
        gate = asyncio.Semaphore(FENCES_AT_ONCE)
        await asyncio.gather(*(_expire(worker, key, gate) for key in overdue))


async def _expire(worker: Worker, key: RunKey, gate: asyncio.Semaphore) -> None:
    """Fence the run on its host if that answers; it ends in any case."""
    plane, limits = worker.plane, worker.plane.limits
    async with gate:
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
            (output,) = await plane.store.runs.output([key])
            try:
                async with asyncio.timeout(FENCE_WITHIN_S):
                    ended = await _fence_and_record(worker, claim, output)
            except (RunFailed, TimeoutError) as fault:
                log(
                    "overdue_silent", logging.WARNING, run=key.run_id, fault=str(fault) or "no answer in time"
                )
                ended = False
            if not ended:
                await plane.store.runs.fence_later(key, at_ms=plane.clock.now_ms() + LEASE_MS)
                await complete(plane, claim.held, _given_up(claim.run), output=output)


async def _fence_and_record(worker: Worker, claim: Claim, output: BoundedOutput) -> bool:
    """True once the host has said how the run ended, and that is stored."""
    assert claim.held is not None
    assert claim.run is not None
    spec = await worker.spec(claim.held.key.invoke_id)
    report = await _fence_on_host(worker, claim, spec.username if spec else "")
    if report is None or report.result is None or spec is None:
        return False
    result, stop_requested = report.result, claim.run.stop_requested
    for piece in report.output:
        output.add(piece.offset, piece.data)
    if result.word is HostWord.CANCELED and not stop_requested and result.started_ago_ms is not None:
        result = replace(result, word=HostWord.TIMEOUT)  # our own fence stopped it, past its timeout
    await complete_reported(
        worker.plane, claim.held, spec, result, output=output, stop_requested=stop_requested
    )
    return True


async def _fence_on_host(worker: Worker, claim: Claim, username: str) -> Report | None:
    assert claim.held is not None
    if claim.instance is None:
        return None
    async with reached(worker.plane, claim.instance, claim.contact) as it:
        return await it.host.cancel(claim.held.key.run_id, user=username)


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
    for key in await plane.store.runs.take_fences(
        now_ms=plane.clock.now_ms(), lease_ms=2 * LEASE_MS, limit=FENCES_AT_ONCE
    ):
        worker.spawn(_fence_given_up(worker, key))


async def _fence_given_up(worker: Worker, key: RunKey) -> None:
    plane = worker.plane
    instance = await plane.store.instances.get(key.instance_id)
    spec = await worker.spec(key.invoke_id)
    if instance is None or spec is None:
        await plane.store.runs.fenced(key, late_result="unknown: the instance or the invocation is gone")
        return
    contact = (await plane.store.instances.contacts([instance.id]))[instance.id]
    try:
        async with asyncio.timeout(FENCE_WITHIN_S), reached(plane, instance, contact) as it:
            report = await it.host.cancel(key.run_id, user=spec.username)
    except (RunFailed, TimeoutError):
        return  # handed out again after its lease
    if report.result is not None:
        exit_code = "" if report.result.exit_code is None else f" {report.result.exit_code}"
        late_result = f"{report.result.word}{exit_code}"
        await plane.store.runs.fenced(key, late_result=late_result)
        log("fenced_late", run=key.run_id, result=late_result)


# -- open invocations


async def _mend_open(worker: Worker) -> None:
    """Finish what a dead process began: publishing, stopping, giving up what nobody ever claimed."""
    plane = worker.plane
    queue_empty = await plane.dispatch.waiting() == 0
    after = 0
    while ids := await plane.store.invocations.open_ids(limit=OPEN_AT_A_TIME, after=after):
        after += len(ids)
        for invoke_id in ids:
            await _mend(worker, invoke_id, queue_empty)


async def _mend(worker: Worker, invoke_id: InvokeId, queue_empty: bool) -> None:
    plane, now_ms = worker.plane, worker.plane.clock.now_ms()
    invocation = await plane.store.invocations.get(invoke_id)
    if invocation is None or invocation.finish_ms or not invocation.tally.get(RunStatus.PENDING):
        return
    age_ms = now_ms - invocation.spec.created_ms
    if invocation.stop_ms:
        await stop_marked(plane, invocation)
        return
    if age_ms > 1_000 * plane.limits.max_queue_s:
        await _abort_unclaimed(worker, invocation)
        return
    lost_after_ms = LOST_AFTER_MS if queue_empty else max(QUEUED_AFTER_MS, age_ms // 2)
    lost = await plane.store.invocations.unclaimed(
        invoke_id, older_than_ms=now_ms - lost_after_ms, limit=AT_A_TIME, now_ms=now_ms
    )
    express = invocation.total <= plane.limits.express_instances
    if lost:
        log("published_again", logging.WARNING, invoke_id=invoke_id, runs=len(lost))
        await plane.dispatch.publish(lost, express=express)
    if invocation.published < invocation.total:
        await publish.refill(plane, invoke_id, express=express)


async def _abort_unclaimed(worker: Worker, invocation: Invocation) -> None:
    plane, invoke_id = worker.plane, invocation.spec.id
    outcome = Outcome(
        status=RunStatus.ABORTED,
        error_code=ErrorCode.DELIVERY_TIMEOUT,
        error_info=f"no worker took it within {plane.limits.max_queue_s} s; start workers, then retry",
    )
    start = 0
    while members := await plane.store.invocations.members(invoke_id, start=start, limit=CHUNK):
        start += len(members)
        if await plane.store.invocations.abort_unclaimed(
            invoke_id, members, outcome=outcome, now_ms=plane.clock.now_ms()
        ):
            await closed(plane, invoke_id)
