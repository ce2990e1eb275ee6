"""Each documented fault of each operation is answered with its code and status, over HTTP; and every
parameter of every operation is taken."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.catalogue import NOT_YET
from cloudassist_tasks.contract.commands import CreateCommand
from cloudassist_tasks.contract.invocations import InvokeCommand
from tests.parity.accepted import ACCEPTED, OF_OWNERS
from tests.parity.conformance import documented, parameters_of, vendors
from tests.parity.faults import FAULTS, REGIONAL_FAULT, Fault
from tests.parity.requests import Given, request, with_ids
from tests.parity.world import SHELL, add_instances, make_things
from tests.support.endpoint import Endpoint, endpoint_alone, served  # noqa: F401
from tests.support.installation import environment
from tests.support.signed import SignedCaller
from tests.support.valkey import private_valkey

ALL_FAULTS = [
    *FAULTS,
    *(
        Fault(action=action, code=REGIONAL_FAULT, status=404, given={"RegionId": "nowhere"}, where="strict")
        for action in vendors()
        if (REGIONAL_FAULT, 404) in documented(action)
    ),
]

PLAIN, STRICT, OVER = (
    [fault for fault in ALL_FAULTS if fault.where == where] for where in ("", "strict", "over")
)

SENT = [(action, number) for action, sent in ACCEPTED.items() for number in range(len(sent))]


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests are sent, and the ids of what is there."""

    caller: SignedCaller
    ids: Mapping[str, str]

    def answer(self, action: str, given: Given) -> tuple[int, str, str]:
        """Status, code and message."""
        reply = self.caller.call(action, with_ids(request(action, given), self.ids))
        return reply.status, reply.code, str(reply.body.get("Message", ""))


@pytest.fixture(scope="module")
def place(endpoint_alone: Endpoint) -> Iterator[Place]:  # noqa: F811 - the fixture
    """An endpoint with default settings; nobody carries anything out."""
    asyncio.run(add_instances(endpoint_alone.client))
    ids = make_things(endpoint_alone.client)
    with SignedCaller(endpoint_alone) as caller:
        yield Place(caller, ids)


@pytest.fixture(scope="module")
def strict_place() -> Iterator[Place]:
    """An endpoint with named regions, where one command may be kept, and is."""
    with _place_with(CLOUDASSIST_REGIONS="default, second", CLOUDASSIST_LIMIT_COMMANDS="1") as made:
        yield made


@pytest.fixture(scope="module")
def place_over_quota() -> Iterator[Place]:
    """An endpoint where one invocation may be made a day, and was."""
    with _place_with(CLOUDASSIST_LIMIT_INVOCATIONS_PER_DAY="1") as made:
        yield made


@contextmanager
def _place_with(**settings: str) -> Iterator[Place]:
    with ExitStack() as here:
        server = here.enter_context(private_valkey())
        folder = here.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        variables = {**environment(server, Path(folder)), **settings}
        with patch.dict(os.environ, variables), Client() as client:  # other places have settings of their own
            asyncio.run(add_instances(client))
            endpoint = here.enter_context(served(variables, client))
            made = client.send(CreateCommand(name="n", type=SHELL, command_content="dHJ1ZQ=="))
            again = InvokeCommand(command_id=made.command_id, instance_id=["i-1"], frequency="rate(1d)")
            ids = {"$command": made.command_id, "$repeating": client.send(again).invoke_id}
        yield Place(here.enter_context(SignedCaller(endpoint)), ids)


@pytest.mark.parametrize("fault", PLAIN, ids=[fault.name for fault in PLAIN])
def test_a_fault_has_its_code_and_status(place: Place, fault: Fault) -> None:
    status, code, message = place.answer(fault.action, fault.given)

    assert (code, status) == (fault.code, fault.status), message
    assert message


@pytest.mark.parametrize("fault", STRICT, ids=[fault.name for fault in STRICT])
def test_a_fault_of_settings_has_its_code_and_status(strict_place: Place, fault: Fault) -> None:
    status, code, message = strict_place.answer(fault.action, fault.given)

    assert (code, status) == (fault.code, fault.status), message


@pytest.mark.parametrize("fault", OVER, ids=[fault.name for fault in OVER])
def test_the_day_s_quota_has_its_code_and_status(place_over_quota: Place, fault: Fault) -> None:
    status, code, message = place_over_quota.answer(fault.action, fault.given)

    assert (code, status) == (fault.code, fault.status), message


@pytest.mark.parametrize(("action", "number"), SENT, ids=[f"{action}-{number}" for action, number in SENT])
def test_a_request_with_all_parameters_is_carried_out(place: Place, action: str, number: int) -> None:
    owners = {name: text for name, text in OF_OWNERS.items() if name in parameters_of(action)}

    status, code, message = place.answer(
        action, {**(owners if number == 0 else {}), **ACCEPTED[action][number]}
    )

    assert (status, code) == (200, ""), message


@pytest.mark.parametrize("action", sorted(NOT_YET))
def test_what_is_still_to_come_says_so(place: Place, action: str) -> None:
    reply = place.caller.call(action, {"RegionId": "default"})

    assert (reply.status, reply.code) == (403, "OperationDenied.NotSupported")


def test_an_unknown_operation_is_told_apart(place: Place) -> None:
    reply = place.caller.call("DescribeEverything", {"RegionId": "default"})

    assert (reply.status, reply.code) == (404, "InvalidAction.NotFound")
