"""A schedule under real processes; their faults are in tests/faults/test_beat_faults.py."""

from collections.abc import AsyncIterator

import pytest

from cloudassist_tasks.contract.invocations import RunCommand
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.operations.handling import handle
from tests.processes.conftest import Crew
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation

PERIOD_MS = 10_000


@pytest.fixture
async def console(home: Installation) -> AsyncIterator[Console]:
    async with home.console(2) as opened:
        yield opened


async def opened(console: Console, script: str, frequency: str = "rate(10s)") -> InvokeId:
    request = RunCommand(
        type="RunShellScript",
        command_content=script,
        enable_parameter=True,
        instance_id=["i-1"],
        frequency=frequency,
    )
    return InvokeId((await handle(console.plane, request, LOCAL)).invoke_id)


async def times_of(console: Console, invoke_id: InvokeId) -> list[int]:
    """For which times rounds were opened, oldest first; none late."""
    rounds = await console.plane.store.schedules.rounds(invoke_id, limit=1_000)
    found = [one.firing for one in reversed(rounds) if one.firing is not None]
    assert all(one.why is Why.TICK for one in found)
    return [one.at_ms for one in found]


async def test_a_schedule_runs_under_a_real_beat_and_worker(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    with home.beat():
        invoke_id = await opened(console, home.marking("sleep 1"))
        await eventually_async(lambda: _ran(console, invoke_id, 2), within=60)
    await eventually_async(lambda: _ran(console, invoke_id, 2), within=40)  # with what it fired at the end

    created_ms = (await console.invocation(invoke_id)).spec.created_ms
    times = await times_of(console, invoke_id)
    assert times == [created_ms + n * PERIOD_MS for n in range(1, len(times) + 1)]
    assert home.marked(invoke_id) == {"i-1": len(times)}


async def _ran(console: Console, invoke_id: InvokeId, least: int) -> bool:
    """Whether all rounds that were opened have ended well, and so many at least."""
    rounds = await console.plane.store.schedules.rounds(invoke_id, limit=1_000)
    return len(rounds) >= least and all(one.tally.get(RunStatus.SUCCESS) for one in rounds)
