"""Ask one host, in one contact, what has become of the runs that were let go there.

Called by the Celery task of the same name when a look is due. A run that has ended is recorded, one that
goes on is given back with its output so far; one that is to be stopped is handed to `execute`.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.domain.invocation import InvocationSpec, Run
from cloudassist_tasks.domain.outcome import outcome_of_failure
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.complete import believed, complete, complete_reported
from cloudassist_tasks.engine.follow import LOOK_AGAIN_MOST_S, look_again_in_s
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.runs import Claim, ClaimWord, Held
from cloudassist_tasks.ports.transport import Host, HostState, Report

UNREACHED_LOOK_AGAIN_LEAST_S = 5.0
"""A host that could not be reached is left alone for so long, however young its runs are."""


@dataclass(slots=True)
class _Look:
    """One run that we have claimed to look at."""

    held: Held
    run: Run
    spec: InvocationSpec
    output: BoundedOutput
    settled: bool = False


async def collect(worker: Worker, instance_id: InstanceId) -> None:
    """Look at every run that is adrift on the instance."""
    if worker.draining:
        return
    mine: list[Claim] = []
    try:
        for key in await worker.plane.store.runs.adrift(instance_id):
            claim = await _claim(worker, key)
            if claim.word is ClaimWord.HELD:
                mine.append(claim)
        if mine:
            await _look_at(worker, mine)
    except BaseException:  # a fault of ours, or the task was revoked: none of them may stay ours
        for claim in mine:
            worker.spawn(_hand_over(worker, claim))
        raise


async def _look_at(worker: Worker, mine: Sequence[Claim]) -> None:
    with ExitStack() as carrying:
        for claim in mine:
            assert claim.held is not None
            carrying.enter_context(worker.carrying(claim.held))
        looks = [look for claim in mine if (look := await _look(worker, claim)) is not None]
        fault = ""
        try:
            if (instance := mine[0].instance) is not None:
                await _look_at_host(worker, instance, mine[0].contact, looks)
        except RunFailed as failed:
            fault = failed.info
            log(
                "collect_failed",
                logging.WARNING,
                instance_id=mine[0].instance and mine[0].instance.id,
                info=fault,
            )
        for look in looks:
            if not look.settled:
                await _give_back(worker, look, fault)


async def _claim(worker: Worker, key: RunKey) -> Claim:
    plane, limits = worker.plane, worker.plane.limits
    return await plane.store.runs.claim(
        key,
        worker=worker.id,
        now_ms=plane.clock.now_ms(),
        at_once=limits.instance_runs,
        may_wait=limits.instance_waiting,
    )


async def _look(worker: Worker, claim: Claim) -> _Look | None:
    assert claim.held is not None
    assert claim.run is not None
    spec = await worker.spec(claim.held.key)
    if spec is None:
        return None
    (output,) = await worker.plane.store.runs.output([claim.held.key])
    return _Look(claim.held, claim.run, spec, output)


async def _look_at_host(
    worker: Worker, instance: Instance, contact: Contact | None, looks: Sequence[_Look]
) -> None:
    by_user: defaultdict[str, list[_Look]] = defaultdict(list)
    for look in looks:
        if look.run.stop_requested:
            continue  # given back, not adrift: `execute` stops it
        by_user[look.spec.username].append(look)
    async with reached(worker.plane, instance, contact) as it:
        for user, theirs in by_user.items():
            offsets = {look.held.key.run_id: look.output.total for look in theirs}
            reports = await it.host.collect(offsets, user=user)
            ended = [look for look in theirs if await _settle(worker, look, reports)]
            if ended:
                await _acknowledge(it.host, ended, user)


async def _settle(worker: Worker, look: _Look, reports: Mapping[str, Report]) -> bool:
    """Take in what the host said of one run. True if its end was recorded."""
    report = reports.get(look.held.key.run_id)
    if report is None:
        return False
    for piece in report.output:
        look.output.add(piece.offset, piece.data)
    if report.result is not None:
        look.settled = True
        result = believed(report.result, look.run, report.boot_id)
        return await complete_reported(
            worker.plane, look.held, look.spec, result, run=look.run, output=look.output, stop_requested=False
        )
    if report.state in (HostState.ABSENT, HostState.PREPARED) and look.run.start_ms:
        look.settled = True
        restarted = report.boot_id != look.run.boot_id
        failure = RunFailed(
            RunStatus.ERROR,
            ErrorCode.INSTANCE_RESTARTED if restarted else ErrorCode.EXECUTION_INTERRUPTED,
            f"the record of the run is gone from {look.held.key.instance_id}; its end is unknown",
        )
        await complete(worker.plane, look.held, outcome_of_failure(failure), output=look.output)
    return False


async def _acknowledge(host: Host, ended: Sequence[_Look], user: str) -> None:
    try:
        await host.acknowledge([look.held.key.run_id for look in ended], user=user)
    except RunFailed as fault:  # the host drops it at its own sweep
        log("acknowledge_failed", logging.DEBUG, info=fault.info)


async def _give_back(worker: Worker, look: _Look, fault: str) -> None:
    """It goes on: note its output, and when to look again. A run that is to be stopped, or that may have
    to be launched again, is `execute`'s."""
    plane, run = worker.plane, look.run
    now_ms = plane.clock.now_ms()
    age_s = (now_ms - run.launch_ms) / 1_000
    adrift = not run.stop_requested and (bool(run.start_ms) or bool(fault))
    least_s = UNREACHED_LOOK_AGAIN_LEAST_S if fault else 0.0
    look_in_s = max(look_again_in_s(age_s), least_s) if adrift else 0.0
    look_at_ms = now_ms + int(1_000 * look_in_s)
    await insist(lambda: plane.store.runs.record_output(look.held, look.output, now_ms=now_ms))
    await insist(
        lambda: plane.store.runs.give_back(look.held, look_at_ms=look_at_ms, adrift=adrift, now_ms=now_ms)
    )


async def _hand_over(worker: Worker, claim: Claim) -> None:
    plane, held = worker.plane, claim.held
    assert held is not None
    with worker.carrying(held):
        now_ms = plane.clock.now_ms()
        look_at_ms = now_ms + 1_000 * LOOK_AGAIN_MOST_S
        await insist(
            lambda: plane.store.runs.give_back(held, look_at_ms=look_at_ms, adrift=True, now_ms=now_ms)
        )
