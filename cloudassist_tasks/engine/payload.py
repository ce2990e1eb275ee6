"""What is sent to a host: the script with the parameters in it, and how to run it there."""

from cloudassist_tasks.domain import parameters
from cloudassist_tasks.domain.command import CommandType
from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec, RepeatMode
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.dry_run import without_script
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.transport import Payload

FILE_GRACE_S = 2
"""What the program that places a file has, when it is stopped or timed out, to clear away what it began."""


def payload_for(plane: Plane, spec: InvocationSpec, instance: Instance) -> Payload:
    """`RunFailed(Invalid, …)` if the command cannot run on this instance."""
    if spec.command.type is not CommandType.SHELL:
        raise RunFailed(
            RunStatus.INVALID,
            ErrorCode.COMMAND_NOT_APPLICABLE,
            f"{spec.command.type} needs a helper for Windows, which {instance.id} does not have",
        )
    script = spec.command.content.reveal()
    if spec.command.enable_parameter:
        script = parameters.substitute(
            script,
            spec.parameters.reveal(),
            {
                "RegionId": plane.settings.region,
                "AccountId": plane.settings.account,
                "InstanceId": instance.id,
                "InstanceName": instance.name or instance.id,
                "InvokeId": spec.id,
                "CommandId": spec.command.id,
            },
        )
    payload = Payload(
        script=Secret(script),
        timeout_s=spec.timeout_s,
        user=spec.username,
        cwd=spec.working_dir,
        mode=spec.termination_mode,
        grace_s=FILE_GRACE_S if spec.file is not None else 0,
        launcher=Secret(spec.launcher) if spec.launcher else None,
        head_bytes=plane.limits.output_head_bytes,
        tail_bytes=plane.limits.output_tail_bytes,
    )
    return without_script(payload) if spec.repeat_mode is RepeatMode.DRY_RUN else payload
