"""Run an invocation once more, on the instances where it did not succeed.

A new invocation, linked to the old one: ids are never used twice, so no host can take the one for the other.
"""

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.rollup import UNSUCCESSFUL
from cloudassist_tasks.engine.launch import LaunchRequest, launch
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.invocations import Opened

CHUNK = 1_000


async def retry_failed(plane: Plane, invoke_id: InvokeId) -> Opened:
    """`Refused`: INVOCATION_NOT_FOUND; BAD_VALUE if nothing failed; what `launch` refuses."""
    invocation = await plane.store.invocations.get(invoke_id)
    if invocation is None:
        raise Refused(
            Kind.INVOCATION_NOT_FOUND, f"no invocation {invoke_id}; see `cloudassist invocation ls`"
        )
    if invocation.spec.repeats and not invocation.finish_ms:
        raise Refused(Kind.BAD_VALUE, f"{invoke_id} is a schedule and runs again by itself; stop it first")
    failed = await _failed(plane, invocation)
    if not failed:
        raise Refused(Kind.BAD_VALUE, f"no run of {invoke_id} has failed; there is nothing to retry")
    spec = invocation.spec
    return await launch(
        plane,
        LaunchRequest(
            command=spec.command,
            instance_ids=failed,
            parameters=spec.parameters.reveal() or None,
            timeout_s=spec.timeout_s,
            working_dir=spec.working_dir,
            username=spec.username,
            launcher=spec.launcher,
            termination_mode=spec.termination_mode,
            tags=spec.tags,
            resource_group=spec.resource_group,
            caps=spec.caps,
            file=spec.file,
            retry_of=invoke_id,
            max_instances=plane.limits.max_instances,
        ),
    )


async def _failed(plane: Plane, invocation: Invocation) -> list[InstanceId]:
    failed: list[InstanceId] = []
    start, invoke_id = 0, invocation.spec.id
    while members := await plane.store.invocations.members(invoke_id, start=start, limit=CHUNK):
        start += len(members)
        runs = await plane.store.runs.of(invocation, members)
        failed += [run.key.instance_id for run in runs if run.status in UNSUCCESSFUL]
    return failed
