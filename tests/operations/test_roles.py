"""Roles: who may ask for what, decided for every operation there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.invocations import RunCommand
from cloudassist_tasks.domain.access import Role
from cloudassist_tasks.domain.errors import CloudAssistError, Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.authorization import RULES, check_action
from cloudassist_tasks.operations.handling import handle
from tests.operations.callers import caller, contents, refusal, register
from tests.support.requests import some_requests
from tests.support.valkey import ValkeyServer

READING = sorted(action for action in OPERATIONS if RULES[action].least is Role.VIEWER)
CHANGING = sorted(action for action in OPERATIONS if RULES[action].least is not Role.VIEWER)

OPERATORS = {
    "RunCommand", "InvokeCommand", "StopInvocation", "RetryInvocation", "SendFile", "ProbeInstances",
    "ModifyInvocationAttribute", "PauseSchedule", "ResumeSchedule", "RunScheduleNow",
}  # fmt: skip

TEXTS = ["i-1", "i-9", "t-1", "c-1", "RunShellScript", "echo ok", "PlainText", "Running", "k", "", "*", "[]"]


def test_every_operation_has_a_decision() -> None:
    assert set(OPERATIONS) - set(RULES) == set()


def test_what_is_for_viewers_is_named_like_it() -> None:
    assert [action for action in READING if not action.startswith(("Describe", "List", "Select"))] == []


def test_operators_run_stop_and_send() -> None:
    assert {action for action, rule in RULES.items() if rule.least is Role.OPERATOR} == OPERATORS


@pytest.mark.parametrize("action", CHANGING)
async def test_a_viewer_is_refused_what_may_change_something(plane: Plane, action: str) -> None:
    operation = object.__new__(OPERATIONS[action])  # refused before any of its fields is looked at

    with pytest.raises(Refused) as refused:
        check_action(caller(Role.VIEWER), operation.action())

    assert refused.value.kind is Kind.FORBIDDEN
    assert action in refused.value.message
    assert "viewer" in refused.value.message


@pytest.mark.parametrize("action", READING)
async def test_what_a_viewer_may_ask_for_changes_nothing(
    plane: Plane, store_server: ValkeyServer, action: str
) -> None:
    await register(plane, env="test")
    await handle(
        plane, RunCommand(type="RunShellScript", command_content="echo", instance_id=["i-1"]), caller()
    )
    before = contents(store_server)

    for operation in some_requests(OPERATIONS[action], TEXTS, 10):
        try:
            await handle(plane, operation, caller(Role.VIEWER))
        except CloudAssistError:
            pass  # as good an answer as any

    assert contents(store_server) == before


async def test_a_run_that_keeps_its_command_is_for_administrators(plane: Plane) -> None:
    await register(plane, env="test")
    request = RunCommand(
        type="RunShellScript", command_content="echo", instance_id=["i-1"], name="kept", keep_command=True
    )

    why = await refusal(plane, request, caller(Role.OPERATOR))
    done = await handle(plane, request, caller(Role.ADMIN))

    assert "RunCommand with KeepCommand is not allowed for CA1" in why
    assert done.command_id


@given(st.text(max_size=30))
def test_what_nobody_has_decided_about_is_for_administrators(name: str) -> None:
    action = f"New{name}"

    check_action(caller(Role.ADMIN), action)
    for role in (Role.VIEWER, Role.OPERATOR):
        with pytest.raises(Refused):
            check_action(caller(role), action)
