"""Runs past their time: they end, whatever their host says or does not say.

Called in each pass of `reconcile`. A run past its deadline is fenced on its host if that answers in the
grace that is left, and ends as the host says; else it is given up, and its host is asked again until it
has confirmed that nothing of it goes on. That is kept as a late result: a final state never moves.
"""

import asyncio
import logging
from dataclasses import replace

from cloudassist_tasks.domain.errors import Broken, ErrorCode, RunFailed
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec, Run
from cloudassist_tasks.domain.outcome import NOT_STARTED, HostWord, Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.cancel import cancel
from cloudassist_tasks.engine.complete import believed, complete, complete_reported
from cloudassist_tasks.engine.handing_out import handed_out_ms
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.runs import Claim, ClaimWord
from cloudassist_tasks.ports.transport import Report

FENCES_AT_ONCE = 200
"""Hosts of given-up runs that one process asks at the same time."""
FENCE_WITHIN_S = 20
"""How long a host is asked before its run is given up: what is left of the grace, this at most. So asking
begins as much earlier, where the grace is that long."""
FENCE_TRIES, FENCE_AGAIN_S = 3, 1.0
"""However little is left: an sshd that drops one connection is not silent, nor is it when the store that its
contacts are kept in is away for a moment."""


async def expire_overdue(worker: Worker) -> None:
    """Beside the pass: a host that is silent holds up nothing but its own runs. What remains of the grace is
    for asking it: by the deadline the run has ended."""
    plane = worker.plane
    room = FENCES_AT_ONCE - worker.expiring
    if room <= 0:
        return
    ahead_s = _asking_s(plane) + plane.settings.reconcile_s
    for key in await plane.store.runs.take_overdue(
        now_ms=plane.clock.now_ms() + int(1_000 * min(ahead_s, plane.limits.grace_s)),
        lease_ms=_handed_out_ms(plane),
        limit=room,
    ):
        worker.expiring += 1
        worker.spawn(_expire(worker, key))


def _handed_out_ms(plane: Plane) -> int:
    """Longer than whoever took it may ask: the next to take it voids what that one finds."""
    return int(1_000 * (FENCE_WITHIN_S + plane.settings.lease_s))


def _asking_s(plane: Plane) -> float:
    return min(FENCE_WITHIN_S, plane.limits.grace_s / 2)


async def _expire(worker: Worker, key: RunKey) -> None:
    """Fence the run on its host if that answers. It ends in any case: if this process was frozen, by whoever
    takes it next."""
    plane, limits, begun_ms = worker.plane, worker.plane.limits, worker.plane.clock.now_ms()
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
            if await _ended_on_host(worker, claim, output):
                return
            if not _was_frozen(worker, begun_ms):
                at_ms = plane.clock.now_ms() + handed_out_ms(worker.plane)
                await insist(lambda: plane.store.runs.fence_later(key, at_ms=at_ms))
                await complete(plane, claim.held, _given_up(claim.run), output=output)
    finally:
        worker.expiring -= 1


def _was_frozen(worker: Worker, begun_ms: int) -> bool:
    """It is this process that was silent, not the host: whoever takes the run next asks anew."""
    return worker.plane.clock.now_ms() - begun_ms > _handed_out_ms(worker.plane)


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
    clock, tries = worker.plane.clock, 0
    until_ms = clock.now_ms() + int(1_000 * _asking_s(worker.plane))
    while True:
        try:
            return await _fenced(worker, claim, spec, claim.instance, seen=seen)
        except (RunFailed, Broken) as fault:
            tries += 1
            if not fault.retry_helps or (tries >= FENCE_TRIES and clock.now_ms() >= until_ms):
                raise
        await asyncio.sleep(FENCE_AGAIN_S)


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


async def fence_given_up(worker: Worker) -> None:
    """Runs that were given up while their host was silent: stop them as soon as it answers."""
    plane = worker.plane
    room = FENCES_AT_ONCE - worker.fencing
    if room <= 0:
        return
    for key in await plane.store.runs.take_fences(
        now_ms=plane.clock.now_ms(), lease_ms=2 * handed_out_ms(worker.plane), limit=room
    ):
        worker.fencing += 1
        worker.spawn(_fence_one(worker, key))


async def _fence_one(worker: Worker, key: RunKey) -> None:
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
