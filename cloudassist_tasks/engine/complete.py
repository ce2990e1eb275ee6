"""The end of a run, and what follows from it: the close of its invocation, or what its caps ask for; the next
run of its instance."""

import logging
from dataclasses import replace

from cloudassist_tasks.domain.errors import Broken, ErrorCode
from cloudassist_tasks.domain.file import outcome_of_sending
from cloudassist_tasks.domain.invocation import InvocationSpec, Run
from cloudassist_tasks.domain.outcome import INSTANCE_REBOOTED, NOT_STARTED, HostWord, Outcome, outcome_of
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import FINAL, Phase, RunStatus
from cloudassist_tasks.engine import power
from cloudassist_tasks.engine.caps import heed_caps
from cloudassist_tasks.engine.close import closed
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.runs import Finished, Held
from cloudassist_tasks.ports.transport import HostResult


async def complete(
    plane: Plane,
    held: Held,
    outcome: Outcome,
    *,
    output: BoundedOutput | None = None,
    start_ms: int = 0,
    finish_ms: int = 0,
) -> bool:
    """Record the end; insists while the store is away. False if the claim was no longer ours."""
    now_ms = plane.clock.now_ms()
    output = output or BoundedOutput()

    async def finish(as_outcome: Outcome) -> Finished:
        return await insist(
            lambda: plane.store.runs.finish(
                held,
                as_outcome,
                output=output,
                start_ms=start_ms,
                finish_ms=max(finish_ms or now_ms, start_ms),
                now_ms=now_ms,
            )
        )

    finished = await finish(outcome)
    moved = finished.moved
    if not moved.done and not moved.stale and moved.status not in FINAL:
        finished = await finish(_fitting(outcome, moved.status))
    if not finished.moved.done:
        log(
            "end_not_recorded",
            logging.WARNING,
            run=held.key.run_id,
            status=moved.status,
            meant=outcome.status,
        )
        return False
    log(
        "run_ended",
        run=held.key.run_id,
        status=outcome.status,
        code=outcome.error_code,
        exit=outcome.exit_code,
    )
    if finished.next is not None:
        try:
            await plane.dispatch.publish([finished.next], express=True, again=True)
        except Broken as error:  # it stands in the store as due
            log("publish_failed", logging.WARNING, run=finished.next.run_id, error=str(error))
    if finished.closed:
        await closed(plane, held.key.invoke_id, round=held.key.round)
    elif finished.capped:
        await heed_caps(plane, held.key.invoke_id, round=held.key.round)
    return True


async def complete_reported(
    plane: Plane,
    held: Held,
    spec: InvocationSpec,
    result: HostResult,
    *,
    run: Run,
    output: BoundedOutput,
    stop_requested: bool,
    fenced: bool = False,
) -> bool:
    """Record the end that the host has reported. A timed-out run ended at its timeout, to the millisecond.

    A run that was fenced (overdue.py), by us or by a process that died before it could record that, ran past
    its timeout or was not delivered; nobody has asked for a stop."""
    now_ms = plane.clock.now_ms()
    fenced = fenced or 0 < run.launch_ms <= now_ms - result.ended_ago_ms - 1_000 * spec.timeout_s
    if result.word is HostWord.CANCELED and fenced and not stop_requested:
        if result.code == NOT_STARTED:
            return await complete(plane, held, _not_delivered(run), output=output)
        result = replace(result, word=HostWord.TIMEOUT)
    start_ms = 0 if result.started_ago_ms is None else now_ms - result.started_ago_ms
    finish_ms = now_ms - result.ended_ago_ms
    outcome = outcome_of(
        result.word,
        code=result.code,
        detail=result.detail,
        exit_code=result.exit_code,
        stop_requested=stop_requested,
        unkilled=result.unkilled,
    )
    if spec.file is not None:
        outcome = outcome_of_sending(outcome, output.text())
    elif (unseen := result.total_bytes - output.total) > 0:
        outcome = _without_its_last(unseen, outcome)
    if outcome.status is RunStatus.TIMEOUT and start_ms:
        finish_ms = start_ms + 1_000 * spec.timeout_s
    output.ended_at(result.total_bytes)
    recorded = await complete(plane, held, outcome, output=output, start_ms=start_ms, finish_ms=finish_ms)
    if recorded and outcome.status is RunStatus.FAILED:
        await power.wish(plane, held.key.instance_id, outcome.exit_code)
    return recorded


def believed(result: HostResult, run: Run, boot_id: str) -> HostResult:
    """What the host's word can mean for a run as the store knows it. `boot_id`: the boot in which it spoke.

    A host that has no record of a run calls it never started. One that was sent its script may have lost the
    record with the power, or to somebody who deletes files; then it is unknown what became of it."""
    if result.word is not HostWord.CANCELED or result.code != NOT_STARTED or run.phase is not Phase.LAUNCHING:
        return result
    if run.boot_id != boot_id:
        return replace(result, word=HostWord.LOST, code=INSTANCE_REBOOTED)
    if run.start_ms:
        return replace(result, word=HostWord.LOST, code="RecordGone")
    return result


def _not_delivered(run: Run) -> Outcome:
    """The end of a run whose script was not sent in its time; nobody has asked for a stop."""
    return Outcome(
        status=RunStatus.ABORTED,
        error_code=ErrorCode.DELIVERY_TIMEOUT,
        error_info=f"the script did not reach {run.key.instance_id} by the end of the run's timeout and"
        " grace; it will not start any more",
    )


def _without_its_last(unseen: int, outcome: Outcome) -> Outcome:
    """An end that came without the end of its output says so."""
    said = f"the last {unseen} bytes of the output could not be had from the instance"
    return replace(outcome, error_info=f"{outcome.error_info}; {said}" if outcome.error_info else said)


def _fitting(outcome: Outcome, status: RunStatus) -> Outcome:
    """The outcome that is legal where the run stands: a stop overtook what we meant to record."""
    if status is RunStatus.STOPPING and outcome.status is RunStatus.ABORTED:
        return Outcome(status=RunStatus.CANCELLED)
    return Outcome(
        status=RunStatus.ERROR,
        error_code=ErrorCode.EXECUTION_EXCEPTION,
        error_info=f"the run ended as {outcome.status} while it was {status}: {outcome.error_info}",
    )
