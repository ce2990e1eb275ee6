"""A call that is repeated with its ClientToken is answered as it was, whatever becomes of what it names."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudassist_tasks.contract.commands import CreateCommand, DeleteCommand
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand, StopInvocation
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.plane import SteeredClock
from tests.support.store import make


def running(**fields: Any) -> RunCommand:
    wishes = {"instance_id": ["i-1"], "client_token": "one", **fields}
    return RunCommand(type="RunShellScript", command_content="true", **wishes)


@pytest.fixture(autouse=True)
async def instances(plane: Plane) -> None:
    await plane.store.instances.add([make.instance("i-1"), make.instance("i-2")])


async def asked(plane: Plane, request: Operation[Any]) -> str:
    """The id of what was opened, or made."""
    answer: Any = await handle(plane, request, LOCAL)
    return str(getattr(answer, "invoke_id", "") or getattr(answer, "command_id", ""))


async def test_a_time_that_is_over_by_now_is_answered_as_when_it_was_to_come(plane: Plane) -> None:
    clock = SteeredClock(plane.clock)
    plane = replace(plane, clock=clock)
    soon = datetime.fromtimestamp(clock.now_ms() // 1_000 + 3_600, UTC)
    frequency = f"at({soon:%Y-%m-%d %H:%M:%S})"
    first = await asked(plane, running(frequency=frequency))

    clock.ahead_ms = 2 * 3_600_000
    again = await asked(plane, running(frequency=frequency))
    with pytest.raises(Refused) as refused:
        await asked(plane, running(frequency=frequency, client_token="two"))

    assert refused.value.kind is Kind.BAD_FREQUENCY
    assert again == first


async def test_an_instance_that_is_gone_by_now_is_no_reason_to_refuse(plane: Plane) -> None:
    requests: list[Operation[Any]] = [
        running(),
        SendFile(name="f", content="x", target_dir="/tmp", instance_id=["i-1"], client_token="one"),
    ]
    first = [await asked(plane, request) for request in requests]
    for invoke_id in first:
        await asked(plane, StopInvocation(invoke_id=invoke_id))

    await plane.store.instances.remove(InstanceId("i-1"))
    again = [await asked(plane, request) for request in requests]

    assert again == first
    with pytest.raises(Refused) as refused:
        await asked(plane, running(client_token="two"))
    assert refused.value.kind is Kind.INSTANCE_NOT_FOUND


async def test_a_command_that_was_deleted_by_now_is_no_reason_to_refuse(plane: Plane) -> None:
    creating = CreateCommand(name="c", type="RunShellScript", command_content="true")
    command_id = await asked(plane, creating)
    request = InvokeCommand(command_id=command_id, instance_id=["i-1"], client_token="one")
    first = await asked(plane, request)
    await asked(plane, StopInvocation(invoke_id=first))

    await asked(plane, DeleteCommand(command_id=command_id))

    assert await asked(plane, request) == first


async def test_another_request_under_the_same_token_is_refused_first_of_all(plane: Plane) -> None:
    await asked(plane, running())

    with pytest.raises(Refused) as refused:
        await asked(plane, running(instance_id=["nobody"]))

    assert refused.value.kind is Kind.CLIENT_TOKEN_REUSED
