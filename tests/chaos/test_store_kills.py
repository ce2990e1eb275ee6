"""A hundred kill -9s of the store, under callers and two workers: nothing that was acknowledged is lost (R3).

python -m pytest -m chaos tests/chaos/test_store_kills.py
"""

import random
from collections.abc import Iterator

import pytest

from tests.processes.serving import endpoint_of
from tests.processes.store_kills import INSTANCES, under_kills
from tests.support.endpoint import Endpoint
from tests.support.plane import Installation, private_installation

KILLS = 100

pytestmark = pytest.mark.chaos


@pytest.fixture
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        installation.valkey.flush_always()
        yield installation


@pytest.fixture
def endpoint(home: Installation) -> Iterator[Endpoint]:
    with endpoint_of(home) as served:
        yield served


async def test_no_acknowledged_invocation_is_lost_over_a_hundred_kills_of_the_store(
    home: Installation, endpoint: Endpoint
) -> None:
    async with home.console(INSTANCES, emptied=False) as console:
        with home.worker(), home.worker():
            await under_kills(
                console, endpoint, KILLS, seed=random.SystemRandom().randrange(10**6), within=300
            )
