"""What an answer takes from several reads, one after the other, so that it does not contradict itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.rollup import open_runs
from cloudassist_tasks.engine.plane import Plane

NO_OUTPUT = BoundedOutput()


async def as_of(plane: Plane, runs: Sequence[Run], invocation: Invocation) -> Invocation:
    """The invocation when `runs` were read, later than itself, if they are all that it has."""
    tally = Counter(run.status for run in runs)
    if len(runs) != invocation.total or tally == invocation.tally:
        return invocation
    if open_runs(tally):
        return replace(invocation, tally=tally)
    closed = await plane.store.invocations.get(invocation.spec.id, round=invocation.round)
    return closed or invocation


async def with_outputs(
    plane: Plane, runs: Sequence[Run], *, wanted: bool = True
) -> Sequence[tuple[Run, BoundedOutput]]:
    """Each with its output, an empty one if it is not `wanted`, and as long as that is: it may have grown
    since. Runs without output are not asked for."""
    keys = [run.key for run in runs if wanted and run.output_bytes]
    found = dict(zip(keys, await plane.store.runs.output(keys), strict=True)) if keys else {}
    return [_counted(run, found.get(run.key, NO_OUTPUT)) for run in runs]


def _counted(run: Run, output: BoundedOutput) -> tuple[Run, BoundedOutput]:
    if not output.total:
        return run, output
    return replace(run, output_bytes=output.total, dropped=output.dropped), output
