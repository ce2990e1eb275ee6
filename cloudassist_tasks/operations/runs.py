"""An invocation and a part of its runs, for our own clients: as few round trips as can be."""

from collections.abc import Sequence

from cloudassist_tasks.contract.extensions import DescribeRuns, DescribeRunsResult
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.agreeing import as_of, with_outputs
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.views import invocation_state, run_state
from cloudassist_tasks.operations.watching import hurry

MOST_RUNS = 1_000
"""Runs in one reply: bounds how long the store is busy and how much is held at once."""


@implements(DescribeRuns)
async def describe_runs(plane: Plane, request: DescribeRuns) -> DescribeRunsResult:
    invocation = await known_invocation(plane, request.invoke_id)
    ids = await _members(plane, invocation, request)
    if not ids:
        return DescribeRunsResult(invocation=invocation_state(invocation))
    runs = await plane.store.runs.of(invocation, ids)
    if request.watched:
        await hurry(plane, runs)
    invocation = await as_of(plane, runs, invocation)
    read = await with_outputs(plane, runs, wanted=request.include_output)
    behind = request.start + len(ids)
    return DescribeRunsResult(
        invocation=invocation_state(invocation),
        runs=tuple(run_state(run, output) for run, output in read),
        next_start=behind if not request.instance_id and behind < invocation.total else 0,
    )


async def known_invocation(plane: Plane, invoke_id: str) -> Invocation:
    """`Refused(INVOCATION_NOT_FOUND)`."""
    invocation = await plane.store.invocations.get(InvokeId(invoke_id))
    if invocation is None:
        raise Refused(
            Kind.INVOCATION_NOT_FOUND, f"no invocation {invoke_id[:64]}; see `cloudassist invocation ls`"
        )
    return invocation


async def _members(plane: Plane, invocation: Invocation, request: DescribeRuns) -> Sequence[InstanceId]:
    invoke_id = invocation.spec.id
    if not 0 <= max(request.limit, len(request.instance_id)) <= MOST_RUNS or request.start < 0:
        raise Refused(Kind.BAD_VALUE, f"at most {MOST_RUNS:,} runs in one reply; ask for them in parts")
    if not request.instance_id:
        if not request.limit:
            return ()
        return await plane.store.invocations.members(invoke_id, start=request.start, limit=request.limit)
    ids = [InstanceId(instance_id) for instance_id in dict.fromkeys(request.instance_id)]
    if strangers := await plane.store.invocations.not_members(invoke_id, ids):
        raise Refused(
            Kind.INSTANCE_NOT_IN_INVOCATION,
            f"{', '.join(strangers[:5])} not in invocation {invoke_id}; see"
            f" `cloudassist invocation show {invoke_id}`",
        )
    return ids
