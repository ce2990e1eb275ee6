"""Two thousand commands run while every worker, beat, the endpoint and the store are replaced: none fails,
none runs twice.

Part of `make chaos`; alone: pytest -m chaos tests/chaos/test_rolling_upgrade.py

They are eight on each of 250 instances (ten are allowed): on the hosts' side, which is this machine, that is
some 18,000 processes.
"""

from collections.abc import Iterator

import pytest

from tests.processes.rolling import SETTINGS, SPARE, upgraded_under
from tests.processes.serving import endpoint_of
from tests.support.endpoint import Endpoint
from tests.support.plane import Installation, private_installation
from tests.support.processes import room_for_processes

INSTANCES, EACH = 250, 8
PATIENCE_S = 600
USUAL = {"CLOUDASSIST_HEARTBEAT_S": "2", "CLOUDASSIST_LEASE_S": "10", "CLOUDASSIST_RECONCILE_S": "3"}
"""As shipped: what tests shorten is too short where two cores carry so much."""

pytestmark = pytest.mark.chaos


@pytest.fixture
def home() -> Iterator[Installation]:
    with room_for_processes(131_072), private_installation() as installation:
        yield installation


@pytest.fixture
def endpoint(home: Installation) -> Iterator[Endpoint]:
    with endpoint_of(home, **SETTINGS, **USUAL) as served:
        yield served


async def test_no_command_of_two_thousand_fails_or_doubles_while_everything_is_replaced(
    home: Installation, endpoint: Endpoint
) -> None:
    async with home.console(INSTANCES + SPARE, emptied=False, **USUAL) as console:
        await upgraded_under(
            console, endpoint, instances=INSTANCES, each=EACH, patience_s=PATIENCE_S, **USUAL
        )
