"""The outputs of runs, read together."""

from collections.abc import Sequence

from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.views import NO_OUTPUT


async def outputs_of(plane: Plane, runs: Sequence[Run], *, wanted: bool = True) -> Sequence[BoundedOutput]:
    """One per run, empty ones if they are not `wanted`; runs without output are not asked for."""
    keys = [run.key for run in runs if wanted and run.output_bytes]
    found = dict(zip(keys, await plane.store.runs.output(keys), strict=True)) if keys else {}
    return [found.get(run.key, NO_OUTPUT) for run in runs]
