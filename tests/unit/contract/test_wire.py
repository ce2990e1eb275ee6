"""From types to the wire and back."""

import json
from typing import Any

import pytest

from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.commands import CommandItem, DescribeCommandsResult
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.instances import DescribeCloudAssistantStatus
from cloudassist_tasks.contract.invocations import InvokeInstance, RunCommand, StopInvocation
from cloudassist_tasks.contract.operation import Operation, Tag, TagItem, result_type
from cloudassist_tasks.contract.wire import check, fields_of, from_wire, to_wire
from cloudassist_tasks.domain.errors import Kind, Refused

RUN = RunCommand(
    type="RunShellScript",
    command_content="echo {{a}}",
    instance_id=["i-1", "i-2"],
    parameters={"a": 1},
    enable_parameter=True,
    tag=[Tag(key="env", value="prod")],
)


def test_an_operation_travels_under_the_vendors_names() -> None:
    assert to_wire(RUN) == {
        "Type": "RunShellScript",
        "CommandContent": "echo {{a}}",
        "InstanceId": ["i-1", "i-2"],
        "ResourceTag": [],
        "Parameters": {"a": 1},
        "EnableParameter": True,
        "Tag": [{"Key": "env", "Value": "prod"}],
    }


def test_what_has_travelled_is_equal_to_what_was_sent() -> None:
    assert to_wire(from_wire(RunCommand, json.loads(json.dumps(to_wire(RUN))))) == to_wire(RUN)


def test_lists_of_a_reply_stand_inside_their_wrappers() -> None:
    command = CommandItem(
        command_id="c-1",
        name="n",
        type="RunShellScript",
        description="",
        command_content="",
        working_dir="",
        timeout=60,
        enable_parameter=False,
        parameter_names=("a",),
        tags=(TagItem(tag_key="k", tag_value="v"),),
    )
    result = DescribeCommandsResult(commands=(command,))

    wired = to_wire(result)

    item = wired["Commands"]["Command"][0]  # type: ignore[index]
    assert item["ParameterNames"] == {"ParameterName": ["a"]}
    assert item["Tags"] == {"Tag": [{"TagKey": "k", "TagValue": "v"}]}
    assert from_wire(DescribeCommandsResult, wired) == result


def test_a_run_without_an_exit_code_has_no_such_field() -> None:
    instance = InvokeInstance(instance_id="i-1", invocation_status="Timeout", instance_invoke_status="Failed")

    assert "ExitCode" not in to_wire(instance)
    assert to_wire(instance)["StopTime"] == ""


def test_irregular_names_are_kept() -> None:
    assert to_wire(DescribeCloudAssistantStatus(os_type="Linux"))["OSType"] == "Linux"


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Refused, match=r"CommandContent is missing") as refusal:
        from_wire(RunCommand, {"Type": "RunShellScript"})

    assert refusal.value.kind is Kind.MISSING_VALUE


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (RunCommand(type="t", command_content="c", instance_id="i-1"), "InstanceId must be a list"),
        (RunCommand(type="t", command_content="c", timeout="60"), "Timeout must be a whole number"),  # type: ignore[arg-type]
        (RunCommand(type="t", command_content="c", timeout=True), "Timeout must be a whole number"),
        (RunCommand(type="t", command_content=b"c"), "CommandContent must be text"),  # type: ignore[arg-type]
        (RunCommand(type="t", command_content="c", tag=["a"]), "Tag must be a Tag"),  # type: ignore[list-item]
        (StopInvocation(invoke_id=None), "InvokeId is missing"),  # type: ignore[arg-type]
        (StopInvocation(invoke_id="t-1", instance_id=[1]), "InstanceId must be text"),  # type: ignore[list-item]
        (
            AddInstances(instances=[InstanceRegistration(instance_id="i-1", host="h", port="x")]),  # type: ignore[arg-type]
            "Port must be a whole number",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_of_the_wrong_type_is_refused_by_name(operation: Operation[Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        check(operation)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_every_type_can_be_read(operation: type[Operation[Any]]) -> None:
    assert fields_of(operation) is not None
    assert {field.name for field in fields_of(result_type(operation))} >= {"request_id"}


def test_a_script_and_its_parameters_do_not_show_in_a_repr() -> None:
    request = RunCommand(type="t", command_content="hush", parameters={"password": "hush"})

    assert "hush" not in repr(request)
