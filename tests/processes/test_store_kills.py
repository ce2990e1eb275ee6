"""The store is killed five times under callers and workers (a hundred times: tests/chaos)."""

from collections.abc import Iterator

import pytest

from tests.processes.serving import endpoint_of
from tests.processes.store_kills import INSTANCES, under_kills
from tests.support.endpoint import Endpoint
from tests.support.plane import Installation, private_installation


@pytest.fixture
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        installation.valkey.flush_always()
        yield installation


@pytest.fixture
def endpoint(home: Installation) -> Iterator[Endpoint]:
    with endpoint_of(home) as served:
        yield served


async def test_no_acknowledged_invocation_is_lost_over_five_kills_of_the_store(
    home: Installation, endpoint: Endpoint
) -> None:
    """R2, R3."""
    async with home.console(INSTANCES, emptied=False) as console:
        with home.worker():
            await under_kills(console, endpoint, 5, seed=5, within=60)
