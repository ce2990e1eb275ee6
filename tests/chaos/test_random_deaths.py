"""Three bounded minutes of random deaths under load; then what happened on the hosts is counted (R1–R4, R6).

make chaos
"""

import asyncio
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.engine.insist import insist
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually, eventually_async
from tests.support.plane import Console, Installation, ids, private_installation

INSTANCES, RUNS = 50, 300
STORM_S, CALM_S = 60, 120
SCRIPTS = (
    "echo ok",
    "sleep 0.5; echo ok",
    "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done",
    "for n in 1 2 3 4 5 6; do echo $n; sleep 1; done; exit 3",
    "sleep 300",
)
ENDS = {
    SCRIPTS[0]: {RunStatus.SUCCESS},
    SCRIPTS[1]: {RunStatus.SUCCESS},
    SCRIPTS[2]: {RunStatus.SUCCESS},
    SCRIPTS[3]: {RunStatus.FAILED},
    SCRIPTS[4]: {RunStatus.TERMINATED, RunStatus.CANCELLED},  # these are stopped
}

pytestmark = pytest.mark.chaos


@pytest.fixture
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        yield installation


class Storm:
    """Kills and restarts at random, by a seed that is printed."""

    def __init__(self, home: Installation, seed: int) -> None:
        self.home = home
        self.chance = random.Random(seed)
        self.stack = ExitStack()
        self.workers: list[CeleryWorker] = []
        self.kills = self.restarts = self.redelivered = 0

    def start_worker(self) -> None:
        self.workers.append(self.stack.enter_context(self.home.worker()))

    async def keep_two(self, calm: asyncio.Event) -> None:
        """Whatever dies is replaced; starting takes longer than dying."""
        while not calm.is_set():
            if len(self.alive()) < 2:
                await asyncio.to_thread(self.start_worker)
            else:
                await asyncio.sleep(0.1)

    def alive(self) -> list[CeleryWorker]:
        return [worker for worker in self.workers if worker.process.poll() is None]

    def kill_one(self) -> None:
        if alive := self.alive():
            how = self.chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            self.chance.choice(alive).process.send_signal(how)
            self.kills += 1

    def restart_store(self) -> None:
        self.home.valkey.kill()
        self.home.valkey.start()
        self.restarts += 1

    async def blow(self, console: Console, keys: list[RunKey], calm: asyncio.Event) -> None:
        """Until told to be calm."""
        while not calm.is_set():
            await asyncio.sleep(self.chance.uniform(1, 3))  # the storm's own rhythm
            fate = self.chance.random()
            if fate < 0.6:
                self.kill_one()
            elif fate < 0.9:
                again = self.chance.sample(keys, 20)
                with suppress(Broken):
                    await console.plane.dispatch.publish(again, express=True)
                self.redelivered += len(again)
            elif self.restarts < 3:
                await asyncio.to_thread(self.restart_store)


async def test_under_random_deaths_every_run_ends_and_no_script_starts_twice(home: Installation) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    storm = Storm(home, seed)
    async with home.console(INSTANCES) as console:
        with storm.stack:
            for _ in range(2):
                await asyncio.to_thread(storm.start_worker)
            opened = await _opened(console, storm.chance)
            keys = [key for runs in opened.values() for key in runs]
            assert len(keys) == RUNS
            calm = asyncio.Event()
            blowing = asyncio.create_task(storm.blow(console, keys, calm))
            replacing = asyncio.create_task(storm.keep_two(calm))
            to_stop = [invoke_id for (invoke_id, script) in opened if script == SCRIPTS[4]]
            for invoke_id in to_stop:
                await asyncio.sleep(storm.chance.uniform(0, 4))
                await _insist_on_stop(console, invoke_id)
            await asyncio.wait([blowing, replacing], timeout=STORM_S)
            calm.set()
            await asyncio.gather(blowing, replacing)
            await eventually_async(lambda: _all_final(console, keys), within=CALM_S, every=0.5)

        print(f"{storm.kills} kills, {storm.restarts} restarts, {storm.redelivered} deliveries more")
        for (invoke_id, script), runs in opened.items():
            tally = await console.closed(invoke_id)
            assert set(tally) <= ENDS[script], (script, [await console.run(key) for key in runs])
            assert set(home.marked(invoke_id).values()) <= {1}
            if script != SCRIPTS[4]:
                assert sum(home.marked(invoke_id).values()) == len(runs)
            assert home.processes_of(invoke_id, *ids(INSTANCES)) == []
        eventually(lambda: not home.supervisors(), within=20)


async def _opened(console: Console, chance: random.Random) -> dict[tuple[InvokeId, str], list[RunKey]]:
    """Thirty invocations of ten runs each."""
    opened = {}
    for n in range(RUNS // 10):
        script = SCRIPTS[n % len(SCRIPTS)]
        members = chance.sample(ids(INSTANCES), 10)
        runs = await console.launch(console.home.marking(script), *members, timeout_s=600)
        opened[(runs[0].invoke_id, script)] = runs
    return opened


async def _insist_on_stop(console: Console, invoke_id: InvokeId) -> None:
    """As a caller does who is told that the store is away."""
    await insist(lambda: console.stop(invoke_id))


async def _all_final(console: Console, keys: list[RunKey]) -> bool:
    invoke_ids = {key.invoke_id for key in keys}
    for invoke_id in invoke_ids:
        if any(status not in FINAL for status in await console.tally(invoke_id)):
            return False
    return True
