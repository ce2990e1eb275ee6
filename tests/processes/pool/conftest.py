"""One Valkey server and one shared worker for all tests that leave the worker alive."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker, celery_worker
from tests.support.valkey import ValkeyServer, private_valkey

APP = "tests.processes.pool.worker_app:app"


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with private_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def new_line(valkey: ValkeyServer) -> Callable[[], Line]:
    numbers = itertools.count(0)

    def make() -> Line:
        return Line(broker=valkey, state=valkey, db=next(numbers))

    return make


@pytest.fixture(scope="session")
def shared_line(new_line: Callable[[], Line]) -> Line:
    return new_line()


@pytest.fixture(scope="session")
def worker(shared_line: Line) -> Iterator[CeleryWorker]:
    """Ten slots, events on; for tests that leave it as they found it."""
    with celery_worker(APP, options=["-E"], environment=shared_line.environment) as worker:
        yield worker


@pytest.fixture
def line(shared_line: Line, worker: CeleryWorker) -> Iterator[Line]:
    """The shared worker's sender."""
    begin = len(worker.log)
    yield shared_line
    print(worker.log[begin:])  # shown if the test fails


@pytest.fixture
def own_line(new_line: Callable[[], Line]) -> Line:
    """A queue of the test's own, for a worker that it stops or breaks."""
    return new_line()


@pytest.fixture
def own_worker(own_line: Line) -> Callable[..., AbstractContextManager[CeleryWorker]]:
    def start(*, settings: dict[str, str] | None = None, **how: Any) -> AbstractContextManager[CeleryWorker]:
        return celery_worker(APP, environment={**own_line.environment, **(settings or {})}, **how)

    return start
