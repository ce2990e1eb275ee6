"""Invocations and runs as the contract shows them."""

import json
from collections.abc import Sequence

from cloudassist_tasks.contract.extensions import InvocationState, RunState
from cloudassist_tasks.contract.invocations import InvocationItem, InvocationResult, InvokeInstance
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.rollup import invocation_status, legacy_invocation_status, open_runs
from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus, legacy_of
from cloudassist_tasks.operations.values import content_text, output_text, tag_items, time_text


def invocation_item(
    invocation: Invocation, instances: Sequence[InvokeInstance], *, as_base64: bool
) -> InvocationItem:
    """One element of DescribeInvocations."""
    spec, command = invocation.spec, invocation.spec.command
    return InvocationItem(
        invoke_id=spec.id,
        creation_time=time_text(spec.created_ms),
        command_id=command.id,
        command_name=command.name,
        command_description=command.description,
        command_type=command.type,
        command_content=content_text(command.content.reveal(), as_base64=as_base64),
        parameters=json.dumps(dict(spec.parameters.reveal()), ensure_ascii=False),
        repeat_mode=spec.repeat_mode,
        frequency=spec.frequency,
        timed=_timed(invocation),
        timeout=spec.timeout_s,
        working_dir=spec.working_dir,
        username=spec.username,
        launcher=spec.launcher,
        termination_mode=spec.termination_mode,
        invocation_status=invocation_status(invocation.tally),
        invoke_status=legacy_invocation_status(invocation.tally),
        tags=tag_items(spec.tags),
        invoke_instances=tuple(instances),
    )


def invoke_instance(
    invocation: Invocation, run: Run, output: BoundedOutput, *, as_base64: bool
) -> InvokeInstance:
    """One instance of an element of DescribeInvocations."""
    created_ms = invocation.spec.created_ms
    return InvokeInstance(
        instance_id=run.key.instance_id,
        invocation_status=run.status,
        instance_invoke_status=legacy_of(run.status),
        timed=invocation.spec.repeats and run.status in OPEN,
        repeats=_repeats(run),
        output=output_text(output, as_base64=as_base64),
        dropped=run.dropped,
        exit_code=_exit_code(run),
        error_code=run.error_code,
        error_info=run.error_info,
        creation_time=time_text(created_ms),
        start_time=time_text(run.start_ms),
        finish_time=time_text(run.finish_ms),
        stop_time=time_text(run.stop_ms),
        update_time=time_text(run.update_ms or created_ms),
    )


def invocation_result(
    invocation: Invocation, run: Run, output: BoundedOutput, *, as_base64: bool
) -> InvocationResult:
    """One element of DescribeInvocationResults."""
    spec = invocation.spec
    return InvocationResult(
        invoke_id=spec.id,
        command_id=spec.command.id,
        instance_id=run.key.instance_id,
        invocation_status=run.status,
        invoke_record_status=legacy_of(run.status),
        repeats=_repeats(run),
        output=output_text(output, as_base64=as_base64),
        dropped=run.dropped,
        exit_code=_exit_code(run),
        error_code=run.error_code,
        error_info=run.error_info,
        start_time=time_text(run.start_ms),
        finished_time=time_text(run.finish_ms),
        stop_time=time_text(run.stop_ms),
        username=spec.username,
        launcher=spec.launcher,
        termination_mode=spec.termination_mode,
        tags=tag_items(spec.tags),
    )


def invocation_state(invocation: Invocation) -> InvocationState:
    """An invocation for our own clients."""
    spec = invocation.spec
    return InvocationState(
        invoke_id=spec.id,
        invocation_status=invocation_status(invocation.tally),
        invoke_status=legacy_invocation_status(invocation.tally),
        counts={
            status.value: invocation.tally[status] for status in RunStatus if invocation.tally.get(status)
        },
        total=invocation.total,
        ended=invocation.total - open_runs(invocation.tally),
        published=invocation.published,
        batches=invocation.batches,
        command_id=spec.command.id,
        command_name=spec.command.name,
        command_type=spec.command.type if spec.file is None else "SendFile",
        retry_of=spec.retry_of or "",
        repeat_mode=spec.repeat_mode,
        frequency=spec.frequency,
        timed=_timed(invocation),
        round=invocation.round or (invocation.repetition.rounds if invocation.repetition else 0),
        creation_time=time_text(spec.created_ms),
        stop_time=time_text(invocation.stop_ms),
        finish_time=time_text(invocation.finish_ms),
    )


def run_state(run: Run, output: BoundedOutput) -> RunState:
    """A run for our own clients."""
    return RunState(
        instance_id=run.key.instance_id,
        invocation_status=run.status,
        instance_invoke_status=legacy_of(run.status),
        exit_code=_exit_code(run),
        output=output.text(),
        dropped=run.dropped,
        error_code=run.error_code,
        error_info=run.error_info,
        start_time=time_text(run.start_ms),
        finish_time=time_text(run.finish_ms),
        output_bytes=run.output_bytes,
        ended=run.status in FINAL,
        round=run.key.round,
    )


def _timed(invocation: Invocation) -> bool:
    """Whether it will run again by itself."""
    return invocation.spec.repeats and not invocation.finish_ms


def _repeats(run: Run) -> int:
    """How often it ran; of a schedule, in how many rounds it was."""
    if run.repeats is not None:
        return run.repeats
    if run.key.round:
        return run.key.round
    return 1 if run.start_ms else 0


def _exit_code(run: Run) -> int | None:
    """A timed-out run has none, whatever its process said when it was killed."""
    return None if run.status is RunStatus.TIMEOUT else run.exit_code
