"""The store and the pure rules agree after every step, whatever is done to them in whatever order.

Workers claim, launch, end, fall silent and come back with claims of long ago; callers open, stop and forget;
beats fire what they found due a while before; the clock is put forward and back. After each step every key
of the store is what the model says, and at the end of each example all that is open ends (R1, R2, R5, R6).

`CLOUDASSIST_MODEL_EXAMPLES` asks for another number of examples: `make chaos` tries thousands.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.mending import Mending
from tests.model.sending import Sending
from tests.support.valkey import ValkeyServer

FEW, MANY = 60, 2_000
STEPS = 50


class Plane(Mending, Sending):
    """All that may happen."""


def agree(server: ValkeyServer, examples: int) -> None:
    Plane.server = server
    run_state_machine_as_test(
        Plane,
        settings=settings(
            max_examples=int(os.environ.get("CLOUDASSIST_MODEL_EXAMPLES", examples)),
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )


def test_the_store_and_the_rules_agree_in_any_order(store_server: ValkeyServer) -> None:
    agree(store_server, FEW)


@pytest.mark.chaos
def test_they_agree_in_thousands_of_orders(store_server: ValkeyServer) -> None:
    agree(store_server, MANY)
