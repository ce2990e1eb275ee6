"""A call that is repeated with its ClientToken is answered as it was, whatever becomes of what it names."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from cloudassist_tasks.contract.commands import CreateCommand, DeleteCommand, DescribeCommands
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand, StopInvocation
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Kind, Refused, StoreFull
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.operations.callers import just_before
from tests.support.plane import SteeredClock
from tests.support.store import make


def running(**fields: Any) -> RunCommand:
    wishes = {"instance_id": ["i-1"], "client_token": "one", **fields}
    return RunCommand(type="RunShellScript", command_content="true", **wishes)


def creating(**fields: Any) -> CreateCommand:
    wishes = {"name": "c", "command_content": "true", "client_token": "one", **fields}
    return CreateCommand(type="RunShellScript", content_encoding="PlainText", **wishes)


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
    command_id = await asked(plane, creating(client_token=None))
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


async def test_a_command_that_is_made_twice_at_once_is_made_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[str]()
    clock = SteeredClock(plane.clock)

    async def repeat() -> None:
        made.append(await asked(plane, creating()))

    just_before(monkeypatch, plane.store.commands, "add", repeat)
    clock.ahead_ms = -1_000  # it asked earlier and comes later
    made.append(await asked(replace(plane, clock=clock), creating()))

    assert made[0] == made[1]
    assert await plane.store.commands.count() == 1
    await asked(plane, DeleteCommand(command_id=made[0]))
    assert await plane.store.commands.count() == 0


async def test_another_command_under_the_same_token_at_once_is_refused(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = partial(asked, plane, creating(command_content="first"))
    just_before(monkeypatch, plane.store.commands, "add", first)

    with pytest.raises(Refused) as refused:
        await asked(plane, creating(command_content="second"))

    [command] = (await handle(plane, DescribeCommands(content_encoding="PlainText"), LOCAL)).commands
    assert refused.value.kind is Kind.CLIENT_TOKEN_REUSED
    assert command.command_content == "first"


async def test_a_store_that_is_full_by_now_still_says_what_was_made(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await asked(plane, creating())

    async def full(*_: Any, **__: Any) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(plane.store.commands, "add", full)

    assert await asked(plane, creating()) == first
