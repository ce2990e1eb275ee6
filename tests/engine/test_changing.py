"""Schedules that are changed while they go on: what holds from when, which commands are kept, repetitions."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.contract.commands import (
    CommandItem,
    CreateCommand,
    DeleteCommand,
    DescribeCommands,
    ModifyCommand,
)
from cloudassist_tasks.contract.invocations import (
    DescribeInvocations,
    InvokeCommand,
    ModifyInvocationAttribute,
    StopInvocation,
)
from cloudassist_tasks.contract.operation import Tag
from cloudassist_tasks.contract.tagging import TagResources
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.engine.scheduling import item, later, opened
from tests.support.plane import Console


async def changed(console: Console, invoke_id: str, **what: Any) -> str:
    """The command that it runs by from then on."""
    request = ModifyInvocationAttribute(invoke_id=invoke_id, **what)
    return (await handle(console.plane, request, LOCAL)).command_id


async def refused(console: Console, invoke_id: str, **what: Any) -> Kind:
    with pytest.raises(Refused) as error:
        await changed(console, invoke_id, **what)
    return error.value.kind


async def version_of(console: Console, invoke_id: InvokeId) -> int:
    """How often it was changed."""
    repetition = (await console.invocation(invoke_id)).repetition
    assert repetition is not None
    return repetition.version


async def kept(console: Console) -> list[CommandItem]:
    """Newest first."""
    return list((await handle(console.plane, DescribeCommands(content_encoding="PlainText"), LOCAL)).commands)


async def kept_and_scheduled(console: Console, **when: Any) -> tuple[str, InvokeId]:
    """A kept command with a schedule of ten seconds."""
    console.clock.stand_still()
    made = CreateCommand(
        name="nightly",
        type="RunShellScript",
        command_content="echo old",
        content_encoding="PlainText",
        timeout=20,
        working_dir="/tmp",
        tag=[Tag(key="team", value="a")],
    )
    command_id = (await handle(console.plane, made, LOCAL)).command_id
    invoke = InvokeCommand(command_id=command_id, instance_id=["i-1"], **{"frequency": "rate(10s)", **when})
    return command_id, InvokeId((await handle(console.plane, invoke, LOCAL)).invoke_id)


async def test_a_change_holds_from_the_next_round_on(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "echo {{a}}", parameters={"a": "1"})
    [first] = await later(console, worker)
    await execute(worker, first)

    await handle(
        console.plane,
        ModifyInvocationAttribute(
            invoke_id=invoke_id,
            command_content="echo new {{a}}",
            enable_parameter=True,
            parameters={"a": "2"},
            frequency="rate(20s)",
            instance_id=["i-2"],
        ),
        LOCAL,
    )
    none = await later(console, worker, 3_000)
    keys = await later(console, worker, 8_000)
    for key in keys:
        await execute(worker, key)

    shown = await item(console, invoke_id)
    assert none == []
    assert [(key.instance_id, key.round) for key in keys] == [("i-1", 2), ("i-2", 2)]
    assert [await console.output(key) for key in (first, *keys)] == [b"1\n", b"new 2\n", b"new 2\n"]
    assert (shown.frequency, shown.parameters) == ("rate(20s)", '{"a": "2"}')


async def test_the_same_change_again_changes_nothing(console: Console) -> None:
    invoke_id = await opened(console, "true")
    request = ModifyInvocationAttribute(invoke_id=invoke_id, command_content="false", instance_id=["i-2"])

    answers = [await handle(console.plane, request, LOCAL) for _ in range(2)]

    assert answers[0].command_id == answers[1].command_id == (await item(console, invoke_id)).command_id
    invocation = await console.invocation(invoke_id)
    assert invocation.total == 2
    assert invocation.repetition is not None
    assert invocation.repetition.version == 1


async def test_a_run_that_is_open_keeps_the_script_that_it_was_opened_with(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "echo old")
    [first] = await later(console, worker)

    await changed(console, invoke_id, command_content="echo new")
    await execute(worker, first)
    [second] = await later(console, worker)
    await execute(worker, second)

    assert [await console.output(key) for key in (first, second)] == [b"old\n", b"new\n"]


# -- commands


async def test_other_content_of_a_kept_command_is_another_kept_one(console: Console) -> None:
    old_id, invoke_id = await kept_and_scheduled(console)
    tag = TagResources(
        region_id="default", resource_type="command", resource_id=[old_id], tag=[Tag(key="since", value="b")]
    )
    await handle(console.plane, tag, LOCAL)

    new_id = await changed(console, invoke_id, command_content="echo new")

    new, old = await kept(console)
    assert [old.command_id, new.command_id] == [old_id, new_id]
    assert [old.command_content, new.command_content] == ["echo old", "echo new"]
    assert (new.name, new.timeout, new.working_dir) == ("nightly", 20, "/tmp")
    assert {tag.tag_key: tag.tag_value for tag in new.tags} == {"team": "a", "since": "b"}
    assert [old.invoke_times, new.invoke_times] == [1, 1]
    for command_id in (old_id, new_id):
        found = await handle(console.plane, DescribeInvocations(command_id=command_id), LOCAL)
        assert [one.command_id for one in found.invocations] == [new_id]


async def test_other_content_of_a_script_that_is_not_kept_is_not_kept(console: Console) -> None:
    invoke_id = await opened(console, "echo old")
    before = (await item(console, invoke_id)).command_id

    after = await changed(console, invoke_id, command_content="echo new")

    assert after != before
    assert await kept(console) == []


async def test_the_same_content_is_the_same_command_whatever_else_is_changed(console: Console) -> None:
    command_id, invoke_id = await kept_and_scheduled(console)

    answers = [
        await changed(console, invoke_id, **what)
        for what in (
            {"command_content": "echo old", "frequency": "rate(40s)"},
            {"enable_parameter": True, "parameters": {}},
            {"instance_id": ["i-2"]},
        )
    ]

    assert answers == [command_id] * 3
    assert len(await kept(console)) == 1


async def test_a_command_is_in_use_by_what_it_runs_and_by_rounds_that_are_open(console: Console) -> None:
    worker = await console.worker()
    old_id, invoke_id = await kept_and_scheduled(console)
    [run] = await later(console, worker)
    new_id = await changed(console, invoke_id, command_content="echo new")

    for command_id in (old_id, new_id):
        with pytest.raises(Refused) as in_use:
            await handle(console.plane, DeleteCommand(command_id=command_id), LOCAL)
        assert in_use.value.kind is Kind.COMMAND_IN_USE
    await execute(worker, run)
    await handle(console.plane, DeleteCommand(command_id=old_id), LOCAL)
    await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)
    await handle(console.plane, DeleteCommand(command_id=new_id), LOCAL)

    assert await console.output(run) == b"old\n"
    assert await kept(console) == []


async def test_one_command_too_many_is_refused_and_nothing_is_changed(console: Console) -> None:
    _, invoke_id = await kept_and_scheduled(console)
    console.plane = _with_limits(console.plane, commands=1)

    kind = await refused(
        console, invoke_id, command_content="echo new", frequency="rate(40s)", client_token="once"
    )
    console.plane = _with_limits(console.plane, commands=2)
    await changed(console, invoke_id, command_content="echo new", frequency="rate(40s)", client_token="once")

    assert kind is Kind.COMMAND_QUOTA
    assert len(await kept(console)) == 2
    assert await version_of(console, invoke_id) == 1


def _with_limits(plane: Plane, **limits: int) -> Plane:
    return replace(plane, settings=replace(plane.settings, limits=replace(plane.settings.limits, **limits)))


# -- timeouts


async def test_a_timeout_that_was_left_out_follows_the_frequency(console: Console) -> None:
    invoke_id = await opened(console, "true")

    timeouts = []
    for frequency in ("rate(30s)", "rate(1d)", "at(2099-01-01 00:00:00)", "0/15 * * * * ?"):
        await changed(console, invoke_id, frequency=frequency)
        timeouts.append((await item(console, invoke_id)).timeout)

    assert timeouts == [30, 60, 60, 15]


async def test_a_timeout_that_was_given_stays_and_must_fit_the_frequency(console: Console) -> None:
    invoke_id = await opened(console, "true", timeout=25, frequency="rate(30s)")

    kind = await refused(console, invoke_id, frequency="rate(20s)")
    await changed(console, invoke_id, frequency="rate(1d)", command_content="false")

    assert kind is Kind.BAD_FREQUENCY
    assert (await item(console, invoke_id)).timeout == 25


async def test_the_command_s_own_timeout_bounds_one_that_was_left_out(console: Console) -> None:
    command_id, invoke_id = await kept_and_scheduled(console)
    await handle(console.plane, ModifyCommand(command_id=command_id, timeout=5_000), LOCAL)

    first = (await item(console, invoke_id)).timeout
    await changed(console, invoke_id, frequency="rate(1d)")

    assert (first, (await item(console, invoke_id)).timeout) == (10, 20)  # as it was when it was scheduled


# -- the same call again


async def test_a_token_gives_the_first_answer_again_and_changes_nothing_more(console: Console) -> None:
    invoke_id = await opened(console, "true")
    request = {"command_content": "echo new", "instance_id": ["i-2"], "client_token": "once"}

    first = await changed(console, invoke_id, **request)
    other = await changed(console, invoke_id, command_content="echo other", frequency="rate(40s)")
    again = await changed(console, invoke_id, **request)

    shown = await item(console, invoke_id)
    assert again == first != other
    assert (shown.command_id, shown.frequency) == (other, "rate(40s)")
    assert await version_of(console, invoke_id) == 2


async def test_a_token_whose_call_had_nothing_to_change_is_used_up_too(console: Console) -> None:
    invoke_id = await opened(console, "true")
    request = {"frequency": "rate(10s)", "client_token": "once"}

    answers = [await changed(console, invoke_id, **request)]
    await changed(console, invoke_id, frequency="rate(40s)")
    answers.append(await changed(console, invoke_id, **request))

    assert answers == [(await item(console, invoke_id)).command_id] * 2
    assert (await item(console, invoke_id)).frequency == "rate(40s)"
    assert await version_of(console, invoke_id) == 1


async def test_a_token_with_another_request_is_refused(console: Console) -> None:
    invoke_id, other = await opened(console, "true"), await opened(console, "true")
    await changed(console, invoke_id, frequency="rate(40s)", client_token="once")

    kinds = [
        await refused(console, invoke_id, frequency="rate(50s)", client_token="once"),
        await refused(console, invoke_id, client_token="once"),
        await refused(console, other, frequency="rate(40s)", client_token="once"),
    ]

    assert kinds == [Kind.CLIENT_TOKEN_REUSED] * 3
    assert (await item(console, other)).frequency == "rate(10s)"


async def test_a_token_of_another_operation_is_another_token(console: Console) -> None:
    invoke_id = await opened(console, "true", client_token="once")

    await changed(console, invoke_id, frequency="rate(40s)", client_token="once")

    assert (await item(console, invoke_id)).frequency == "rate(40s)"


async def test_a_repetition_is_answered_though_the_same_would_be_refused_by_now(console: Console) -> None:
    invoke_id = await opened(console, "true")
    request = {"command_content": "echo new", "instance_id": ["i-3"], "client_token": "once"}
    first = await changed(console, invoke_id, **request)

    await handle(console.plane, StopInvocation(invoke_id=invoke_id), LOCAL)

    assert await changed(console, invoke_id, **request) == first
    assert await refused(console, invoke_id, command_content="echo new") is Kind.INVOCATION_FINISHED


async def test_a_token_that_was_refused_is_not_used_up(console: Console) -> None:
    invoke_id = await opened(console, "true")

    kind = await refused(console, invoke_id, frequency="rate(1s)", client_token="once")
    await changed(console, invoke_id, frequency="rate(40s)", client_token="once")

    assert kind is Kind.BAD_FREQUENCY
    assert (await item(console, invoke_id)).frequency == "rate(40s)"


async def test_a_token_is_forgotten_after_a_day(console: Console) -> None:
    invoke_id = await opened(console, "true")
    request = {"frequency": "rate(40s)", "client_token": "once"}
    await changed(console, invoke_id, **request)
    await changed(console, invoke_id, frequency="rate(50s)")

    console.clock.ahead_ms += 1_000 * console.plane.limits.client_token_s
    await changed(console, invoke_id, **request)

    assert (await item(console, invoke_id)).frequency == "rate(40s)"


async def test_the_same_call_many_times_at_once_is_made_once(console: Console) -> None:
    _, invoke_id = await kept_and_scheduled(console)
    request = {"command_content": "echo new", "instance_id": ["i-2"], "client_token": "once"}

    answers = await asyncio.gather(*(changed(console, invoke_id, **request) for _ in range(8)))

    assert answers == [(await item(console, invoke_id)).command_id] * 8
    assert await version_of(console, invoke_id) == 1
    assert len(await kept(console)) == 2


async def test_many_changes_at_once_are_all_made(console: Console) -> None:
    invoke_id = await opened(console, "true")

    await asyncio.gather(
        changed(console, invoke_id, command_content="echo new", client_token="a"),
        changed(console, invoke_id, frequency="rate(40s)", client_token="b"),
        changed(console, invoke_id, instance_id=["i-2"], client_token="c"),
    )

    shown = await item(console, invoke_id)
    assert (shown.command_content, shown.frequency) == ("ZWNobyBuZXc=", "rate(40s)")
    assert len(shown.invoke_instances) == 2
