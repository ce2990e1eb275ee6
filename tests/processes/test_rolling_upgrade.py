"""Every component is replaced while sixty commands run (two thousand: tests/chaos)."""

from collections.abc import Iterator

import pytest

from tests.processes.rolling import SETTINGS, SPARE, upgraded_under
from tests.processes.serving import endpoint_of
from tests.support.endpoint import Endpoint
from tests.support.plane import Installation, private_installation


@pytest.fixture
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        yield installation


@pytest.fixture
def endpoint(home: Installation) -> Iterator[Endpoint]:
    with endpoint_of(home, **SETTINGS) as served:
        yield served


async def test_no_command_fails_or_doubles_while_everything_is_replaced(
    home: Installation, endpoint: Endpoint
) -> None:
    async with home.console(12 + SPARE, emptied=False) as console:
        await upgraded_under(console, endpoint, instances=12, each=5, patience_s=60)
