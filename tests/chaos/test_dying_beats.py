"""Three minutes of three beats that die and freeze at random, under 200 schedules: each tick fires once.

make chaos
"""

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from cloudassist_tasks.contract.invocations import RunCommand
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Why
from cloudassist_tasks.operations.handling import handle
from tests.support.plane import Console, Installation, private_installation

BEATS, SCHEDULES = 3, 200
PERIOD_MS = 10_000
STORM_S = 180

pytestmark = pytest.mark.chaos


@pytest.fixture
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        yield installation


@dataclass(slots=True)
class Storm:
    """Kills, freezes and replaces beats, of which one at least is left in peace at any time."""

    home: Installation
    chance: random.Random
    stack: ExitStack
    beats: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    async def begin_one(self) -> None:
        self.beats.append(await asyncio.to_thread(self.stack.enter_context, self.home.beat()))

    async def blow(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(1, 6))  # the storm's own rhythm
            victim = self.beats.pop(self.chance.randrange(len(self.beats)))
            if self.chance.random() < 0.75:
                victim.kill()
                await asyncio.to_thread(victim.wait)
                self.done["kill -9"] += 1
            else:
                await self._freeze(victim)
            if len(self.beats) < BEATS:
                await self.begin_one()

    async def _freeze(self, beat: "subprocess.Popen[bytes]") -> None:
        beat.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(2, 12))
        beat.send_signal(signal.SIGCONT)
        self.beats.append(beat)
        self.done["SIGSTOP"] += 1


@dataclass(slots=True)
class Ticks:
    due: int = 0
    fired: int = 0
    doubled: int = 0
    lost: int = 0
    missed: int = 0
    late_ms: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        late = sorted(self.late_ms)
        return (
            f"ticks due {self.due}, fired {self.fired}, doubled {self.doubled}, lost {self.lost}, recorded as"
            f" missed {self.missed}; late p50 {late[len(late) // 2]}, p99 {late[len(late) * 99 // 100]},"
            f" most {late[-1]} ms"
        )


async def test_while_beats_die_and_freeze_every_tick_fires_once(home: Installation) -> None:
    seed = random.SystemRandom().randrange(10**6)
    async with home.console(1) as console:
        with ExitStack() as stack:
            storm = Storm(home, random.Random(seed), stack)
            await asyncio.gather(*(storm.begin_one() for _ in range(BEATS)))
            ids = [await _opened(console) for _ in range(SCHEDULES)]

            await storm.blow(time.monotonic() + STORM_S)
            end_ms = console.clock.now_ms()
            await asyncio.sleep(console.plane.settings.late_s)  # what is due by then has been fired
        ticks = await _ticks(console, ids, end_ms)

    print(f"seed {seed}: {dict(storm.done)}\n{ticks}")
    assert (ticks.doubled, ticks.lost, ticks.missed) == (0, 0, 0)
    assert ticks.due == ticks.fired >= SCHEDULES * (STORM_S * 1_000 // PERIOD_MS - 1)


async def _opened(console: Console) -> InvokeId:
    request = RunCommand(
        type="RunShellScript",
        command_content="true",
        enable_parameter=True,
        instance_id=["i-1"],
        frequency=f"rate({PERIOD_MS // 1_000}s)",
    )
    return InvokeId((await handle(console.plane, request, LOCAL)).invoke_id)


async def _ticks(console: Console, ids: list[InvokeId], end_ms: int) -> Ticks:
    """What was due until then, and what became of it."""
    found = Ticks()
    for invoke_id in ids:
        invocation = await console.invocation(invoke_id)
        rounds = await console.plane.store.schedules.rounds(invoke_id, limit=1_000)
        firings = [one.firing for one in rounds if one.firing and one.firing.at_ms <= end_ms]
        times = Counter(one.at_ms for one in firings if one.why is Why.TICK)
        due = range(invocation.spec.created_ms + PERIOD_MS, end_ms + 1, PERIOD_MS)
        found.due += len(due)
        found.fired += len(firings)
        found.doubled += sum(count - 1 for count in times.values())
        found.lost += sum(1 for at_ms in due if at_ms not in times)
        found.missed += invocation.repetition.missed if invocation.repetition else 0
        found.late_ms += [one.opened_ms - one.at_ms for one in firings]
    return found
