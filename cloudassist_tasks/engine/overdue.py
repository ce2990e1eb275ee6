"""Runs past their time: they end, whatever their host says or does not say.

Called in each pass of `reconcile`. What remains of a run's grace towards its deadline is for asking its host:
the run is fenced there and ends as the host says. A host that stays silent is given up at the deadline, and
asked again until it has confirmed that nothing of the run goes on. That is kept as a late result: a final
state never moves.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from cloudassist_tasks.domain.errors import Broken, ErrorCode, RunFailed
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.cancel import cancel
from cloudassist_tasks.engine.complete import believed, complete, complete_reported
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.worker import Carried, LetGo, Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.runs import Claim, ClaimWord
from cloudassist_tasks.ports.transport import Report

AT_ONCE = 200
"""Overdue runs whose hosts one process asks at the same time; and as many that were given up. Where more
hosts are silent at once, the last of their runs end later than their deadlines: none is given up unasked."""
FENCE_WITHIN_S = 20
"""How long a host is asked before its run is given up …"""
FENCE_LEAST_S = 12
"""… and at least, however short the grace is: an attempt to connect that hangs takes 10, and a host that lets
one hang is not silent."""
PAUSE_S = 1.0
FENCE_AGAIN_LEASES = 3
"""A host that was silent is asked again after so many leases of a worker: it may be gone for days."""


async def expire_overdue(worker: Worker) -> None:
    """Beside the pass: a host that is silent holds up nothing but its own runs."""
    plane = worker.plane
    room = AT_ONCE - worker.expiring
    if room <= 0:
        return
    ahead_s = min(_asking_s(plane) + plane.settings.reconcile_s, plane.limits.grace_s / 2)
    for key in await plane.store.runs.take_overdue(
        now_ms=plane.clock.now_ms() + int(1_000 * ahead_s), lease_ms=_left_to_us_ms(plane), limit=room
    ):
        worker.expiring += 1
        worker.spawn(_expire(worker, key))


def _asking_s(plane: Plane) -> float:
    """So that it is over at the deadline: it begins up to a pass earlier, and never in the grace's first
    half, in which scripts that started late have their time."""
    in_the_grace_s = plane.limits.grace_s / 2 - plane.settings.reconcile_s
    return min(FENCE_WITHIN_S, max(FENCE_LEAST_S, in_the_grace_s))


def _left_to_us_ms(plane: Plane) -> int:
    """Longer than we may ask: the next to take the run voids what we find."""
    return int(1_000 * (FENCE_WITHIN_S + plane.settings.lease_s))


async def _expire(worker: Worker, key: RunKey) -> None:
    """Fence the run on its host if that answers. It ends in any case: if this process was frozen for long, by
    whoever has taken it next."""
    plane, limits = worker.plane, worker.plane.limits
    until_ms = plane.clock.now_ms() + _left_to_us_ms(plane)
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
        if (ours := worker.carried.get(key)) is not None:  # that claim is void from now on
            ours.ask_let_go(LetGo.BURIED)
        with worker.carrying(claim.held) as carried:
            (output,) = await insist(lambda: plane.store.runs.output([key]))
            if await _ended_on_host(worker, claim, carried, output, until_ms=until_ms):
                return
            now_ms = plane.clock.now_ms()
            if now_ms > until_ms:
                return
            at_ms = now_ms + _fence_again_ms(plane)
            await insist(lambda: plane.store.runs.fence_later(key, at_ms=at_ms))
            await complete(plane, claim.held, _given_up(_now(claim, carried)), output=output)
    except Broken:  # whoever takes it next asks
        pass
    finally:
        worker.expiring -= 1


def _now(claim: Claim, carried: Carried) -> Run:
    """The run, of which a stop may have been asked since it was claimed."""
    assert claim.run is not None
    return replace(claim.run, stop_requested=claim.run.stop_requested or carried.stop.is_set())


async def _ended_on_host(
    worker: Worker, claim: Claim, carried: Carried, output: BoundedOutput, *, until_ms: int
) -> bool:
    """Whether the host has said how the run ended, after stopping it if need be; then that is stored. A store
    that was away meanwhile is not the host's silence: it is asked anew. `Broken`: no time is left for it."""
    assert claim.held is not None
    run_id, clock, least_s = claim.held.key.run_id, worker.plane.clock, min(FENCE_LEAST_S, FENCE_WITHIN_S)
    heard: list[Report] = []
    while True:
        left_s = (until_ms - clock.now_ms()) / 1_000
        if left_s < least_s:
            raise Broken("no time is left to ask the host")
        try:
            report = await worker.awake.within(
                min(_asking_s(worker.plane), left_s),
                lambda: _fenced_report(worker, claim, seen=output.total, hear=heard.append),
            )
        except Broken as fault:
            log("overdue_store_away", logging.WARNING, run=run_id, fault=str(fault))
            if not fault.retry_helps:
                return False
            await asyncio.sleep(PAUSE_S)
            continue
        except (RunFailed, TimeoutError) as fault:
            log("overdue_silent", logging.WARNING, run=run_id, fault=str(fault) or "no answer in time")
            report = heard[-1] if heard else None
        return report is not None and await _record(worker, claim, carried, report, output)


async def _fenced_report(
    worker: Worker, claim: Claim, *, seen: int, hear: Callable[[Report], object]
) -> Report | None:
    assert claim.held is not None
    key, spec = claim.held.key, await worker.spec(claim.held.key)
    if claim.instance is None or spec is None:
        return None
    while True:
        try:
            async with reached(worker.plane, claim.instance, claim.contact) as it:
                return await cancel(
                    worker.awake, it.host, key.run_id, user=spec.username, seen=seen, hear=hear
                )
        except RunFailed as fault:
            if not fault.retry_helps:
                raise
        await asyncio.sleep(PAUSE_S)


async def _record(
    worker: Worker, claim: Claim, carried: Carried, report: Report, output: BoundedOutput
) -> bool:
    assert claim.held is not None
    key, run = claim.held.key, _now(claim, carried)
    spec = await insist(lambda: worker.spec(key))
    if report.result is None or spec is None:
        return False
    result = believed(report.result, run, report.boot_id)
    for piece in report.output:
        output.add(piece.offset, piece.data)
    await complete_reported(
        worker.plane,
        claim.held,
        spec,
        result,
        run=run,
        output=output,
        stop_requested=run.stop_requested,
        fenced=True,
    )
    return True


def _given_up(run: Run) -> Outcome:
    """The end of a run whose host stayed silent to its deadline."""
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
        error_info=f"{run.key.instance_id} was not reached by the end of the run's timeout and grace; what"
        " became of the script is unknown",
    )


async def fence_given_up(worker: Worker) -> None:
    """Runs that were given up while their host was silent: stop them as soon as it answers."""
    plane = worker.plane
    room = AT_ONCE - worker.fencing
    if room <= 0:
        return
    for key in await plane.store.runs.take_fences(
        now_ms=plane.clock.now_ms(), lease_ms=_fence_again_ms(plane), limit=room
    ):
        worker.fencing += 1
        worker.spawn(_fence_one(worker, key))


def _fence_again_ms(plane: Plane) -> int:
    return int(1_000 * FENCE_AGAIN_LEASES * plane.settings.lease_s)


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
