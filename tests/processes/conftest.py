"""Real worker processes over one installation; what a test has ended, the next one starts again."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from cloudassist_tasks.domain.invocation import Run
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation, private_installation


class Crew:
    """The worker processes of a module."""

    def __init__(self, home: Installation) -> None:
        self.home = home
        self._stack = ExitStack()
        self._workers: list[CeleryWorker] = []

    def alive(self) -> list[CeleryWorker]:
        return [worker for worker in self._workers if worker.process.poll() is None]

    def one(self) -> CeleryWorker:
        """A worker that is alone; started if there is none."""
        workers = self.alive()
        for surplus in workers[1:]:
            surplus.process.kill()
            surplus.process.wait()
        return workers[0] if workers else self.another()

    def another(self, pool: str = "custom", *, concurrency: int = 200, **settings: str) -> CeleryWorker:
        worker = self._stack.enter_context(self.home.worker(pool, concurrency=concurrency, **settings))
        self._workers.append(worker)
        return worker

    def none(self) -> None:
        """No worker from here on."""
        for worker in self.alive():
            worker.process.kill()
            worker.process.wait()

    def close(self) -> None:
        self._stack.close()


async def claimed_again(console: Console, run: Run) -> None:
    """Await that somebody has claimed it since: whoever had it then has lost it."""

    async def is_claimed() -> bool:
        return (await console.run(run.key)).deliveries > run.deliveries

    await eventually_async(is_claimed, within=30)


@pytest.fixture(scope="module")
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        installation.valkey.flush_always()  # stores are killed here
        yield installation


@pytest.fixture(scope="module")
def crew(home: Installation) -> Iterator[Crew]:
    made = Crew(home)
    yield made
    made.close()


@pytest.fixture
async def console(home: Installation, crew: Crew) -> AsyncIterator[Console]:
    """Thirty instances; the store keeps what earlier tests have left, and the workers go on."""
    async with home.console(30, emptied=False) as opened:
        yield opened
        for worker in crew.alive():
            print(f"--- {worker.name} ---\n{worker.log[-4_000:]}")
