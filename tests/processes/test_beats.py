"""Beats die, freeze and are many: each time of a schedule fires once, and none is lost while one is up."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack

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
        await eventually_async(lambda: _ran(console, invoke_id, 2), within=40)

    assert home.marked(invoke_id) == {"i-1": 2}
    created_ms = (await console.invocation(invoke_id)).spec.created_ms
    assert await times_of(console, invoke_id) == [created_ms + PERIOD_MS, created_ms + 2 * PERIOD_MS]


async def _ran(console: Console, invoke_id: InvokeId, times: int) -> bool:
    rounds = await console.plane.store.schedules.rounds(invoke_id, limit=9)
    ended = [one for one in rounds if one.tally.get(RunStatus.SUCCESS)]
    return len(ended) == times


async def test_killed_and_frozen_beats_neither_double_nor_lose_a_time(
    console: Console, home: Installation
) -> None:
    with ExitStack() as stack:
        killed, frozen, _ = (stack.enter_context(home.beat()) for _ in range(3))
        ids = [await opened(console, "true") for _ in range(30)]

        await _reach(console, ids, 1)
        frozen.send_signal(signal.SIGSTOP)
        _kill(killed)
        await _reach(console, ids, 2)
        frozen.send_signal(signal.SIGCONT)
        stack.enter_context(home.beat())
        await _reach(console, ids, 3)

    for invoke_id in ids:
        invocation = await console.invocation(invoke_id)
        times = await times_of(console, invoke_id)
        assert times == [invocation.spec.created_ms + n * PERIOD_MS for n in range(1, len(times) + 1)]
        assert invocation.repetition is not None
        assert invocation.repetition.missed == 0


def _kill(beat: "subprocess.Popen[bytes]") -> None:
    beat.kill()
    beat.wait()


async def _reach(console: Console, ids: list[InvokeId], rounds: int) -> None:
    async def reached() -> bool:
        counts = await asyncio.gather(*(console.plane.store.schedules.round_count(one) for one in ids))
        return min(counts) >= rounds

    await eventually_async(reached, within=30)
