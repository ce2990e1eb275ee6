"""The engine over a real store, a real broker and real hosts; no worker process, the test is the worker."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.plane import Console, Installation, private_installation


@pytest.fixture(scope="package")
def home() -> Iterator[Installation]:
    """One installation for all tests here; each begins with an empty store and broker."""
    with private_installation() as installation:
        yield installation


@pytest.fixture
async def console(home: Installation) -> AsyncIterator[Console]:
    """Three instances, default limits."""
    async with home.console() as opened:
        yield opened
