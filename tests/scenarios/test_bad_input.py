"""What cannot be done is refused in one line, with the vendor's code and the next step; nothing half-done."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks import config, wiring
from cloudassist_tasks.contract.commands import (
    CreateCommand,
    DeleteCommand,
    DescribeCommands,
    ModifyCommand,
)
from cloudassist_tasks.contract.errors import describe_error, wire_error_of
from cloudassist_tasks.contract.extensions import (
    AddInstances,
    DescribeRuns,
    InstanceRegistration,
    RemoveInstance,
    RetryInvocation,
    SelectInstances,
)
from cloudassist_tasks.contract.instances import (
    DescribeCloudAssistantStatus,
    DescribeInstances,
    InstallCloudAssistant,
)
from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocations,
    InvokeCommand,
    RunCommand,
    StopInvocation,
)
from cloudassist_tasks.contract.operation import Operation, Tag
from cloudassist_tasks.domain.access import LOCAL, Caller, Role
from cloudassist_tasks.domain.errors import Broken, CloudAssistError
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.listing import InvocationFilter
from tests.support.installation import environment, plane, store_server  # noqa: F401
from tests.support.valkey import ValkeyServer, private_valkey

STRANGER = Caller(name="stranger", role=Role.ADMIN)
"""A client of the vendor's that may do everything."""

SHELL = "RunShellScript"
LONG = "x" * 13_000


def run(**changes: Any) -> RunCommand:
    """A script on i-1 that would be accepted as it is."""
    fields = {"type": SHELL, "command_content": "echo ok", "instance_id": ["i-1"]}
    return RunCommand(**{**fields, **changes})


def create(content: str = "echo ok", **changes: Any) -> CreateCommand:
    fields = {"name": "n", "type": SHELL, "command_content": base64.b64encode(content.encode()).decode()}
    return CreateCommand(**{**fields, **changes})


def add(instance_id: str = "i-9", **changes: Any) -> AddInstances:
    fields: Mapping[str, Any] = {"instance_id": instance_id, "host": "10.0.0.9", **changes}
    return AddInstances(instances=[InstanceRegistration(**fields)])


@dataclass(frozen=True)
class Bad:
    operation: Operation[Any]
    code: str
    said: str
    """A part of the message: the thing, or the next step."""
    ours: bool = True


TABLE = {
    "unknown instance": Bad(run(instance_id=["i-1", "i-7"]), "InvalidInstance.NotFound", "i-7"),
    "no instance": Bad(run(instance_id=[]), "MissingParam.InstanceId", "InstanceId"),
    "instances and tags": Bad(
        run(resource_tag=[Tag(key="env")]), "InvalidResourceTag.ConflictWithInstanceIds", "keep one"
    ),
    "no instance has the tag": Bad(
        run(instance_id=[], resource_tag=[Tag(key="env", value="none")]),
        "InvalidResourceTag.InstanceNotFound",
        "no instance fits",
    ),
    "too many resource tags": Bad(
        run(instance_id=[], resource_tag=[Tag(key=f"k{n}") for n in range(11)]),
        "NumberExceed.ResourceTags",
        "limit is 10",
    ),
    "more than 50 over the API": Bad(
        run(instance_id=[f"i-{n}" for n in range(51)]), "InstanceIds.ExceedLimit", "limit", ours=False
    ),
    "wrong system for the type": Bad(run(type="RunBatScript"), "InvalidInstance.NotMatch", "i-1"),
    "shell on windows": Bad(run(instance_id=["i-win"]), "InvalidInstance.NotMatch", "i-win"),
    "unknown type": Bad(run(type="RunPython"), "InvalidCmdType.NotFound", SHELL),
    "content over the limit": Bad(run(command_content=LONG), "CmdContent.ExceedLimit", "16384"),
    "content over the limit once filled in": Bad(
        run(command_content="{{a}}" * 200, enable_parameter=True, parameters={"a": "x" * 100}),
        "CmdContent.ExceedLimit",
        "16384",
    ),
    "bad Base64": Bad(
        run(command_content="%%%", content_encoding="Base64"),
        "CmdContent.DecodeError",
        "Base64",
    ),
    "plain text where Base64 is the default": Bad(
        create(command_content="echo ok!"), "CmdContent.DecodeError", "ContentEncoding"
    ),
    "empty content": Bad(run(command_content=""), "MissingCommandContent", "CommandContent"),
    "too many parameters defined": Bad(
        run(command_content=" ".join(f"{{{{p{n}}}}}" for n in range(21)), enable_parameter=True),
        "CmdParamCount.ExceedLimit",
        "limit is 20",
    ),
    "too many parameters passed": Bad(
        run(
            command_content="{{a}}",
            enable_parameter=True,
            parameters={f"p{n}": "" for n in range(21)},
        ),
        "ParameterCount.ExceedLimit",
        "limit is 20",
    ),
    "unknown parameter": Bad(
        run(command_content="{{a}}", enable_parameter=True, parameters={"b": "1"}),
        "Parameter.NotMatched",
        "'b'",
    ),
    "parameter passed twice": Bad(
        run(command_content="{{a}}", enable_parameter=True, parameters={"a": "1", "A": "2"}),
        "ParameterKey.Duplicate",
        "twice",
    ),
    "parameters that are not enabled": Bad(
        run(parameters={"a": "1"}), "Parameter.Disabled", "EnableParameter"
    ),
    "a parameter that is a list": Bad(
        run(command_content="{{a}}", enable_parameter=True, parameters={"a": [1]}),
        "ParameterType.NotSupported",
        "'a'",
    ),
    "an unnamed parameter": Bad(
        run(command_content="{{}}", enable_parameter=True), "CmdParam.EmptyKey", "line 1"
    ),
    "timeout over a day": Bad(run(timeout=86_401), "InvalidTimeout.ExceedLimit", "86400"),
    "a number that is text": Bad(run(timeout="60"), "InvalidParameter", "Timeout"),
    "long user": Bad(run(username="u" * 256), "Username.ExceedLimit", "255"),
    "long directory": Bad(run(working_dir="/" * 201), "InvalidParameter.WorkingDir", "200"),
    "control character in the directory": Bad(
        run(working_dir="/tmp\n"), "InvalidParameterCharacter.CommandWorkingDir", "WorkingDir"
    ),
    "long name": Bad(run(name="n" * 129), "CmdName.ExceedLimit", "128"),
    "unknown termination mode": Bad(
        run(termination_mode="Thread"), "InvalidTerminationMode.NotFound", "ProcessTree"
    ),
    "unknown repeat mode": Bad(run(repeat_mode="Twice"), "InvalidRepeatMode.NotFound", "Once"),
    "a schedule that cannot be read": Bad(run(frequency="every day"), "InvalidParam.Frequency", "Frequency"),
    "timed without a frequency": Bad(run(timed=True), "MissingParam.Frequency", "Frequency"),
    "a container": Bad(run(container_name="web"), "UnsupportedContainerRuntime", "docker exec"),
    "a bad container name": Bad(run(container_name="-"), "InvalidContainerName.Malformed", "letter"),
    "a windows user without a password": Bad(
        run(type="RunBatScript", username="Ann", instance_id=["i-win"]),
        "WindowsPasswordName.Missed",
        "WindowsPasswordName",
    ),
    "a bad token": Bad(run(client_token="é"), "InvalidClientToken.Malformed", "ASCII"),
    "a tag of the vendor's": Bad(run(tag=[Tag(key="acs:x")]), "InvalidTagKey.Malformed", "acs:"),
    "an unknown command": Bad(
        InvokeCommand(command_id="c-0", instance_id=["i-1"]), "InvalidCmdId.NotFound", "c-0"
    ),
    "changing an unknown command": Bad(ModifyCommand(command_id="c-0"), "InvalidCmdId.NotFound", "c-0"),
    "removing an unknown command": Bad(DeleteCommand(command_id="c-0"), "InvalidCmdId.NotFound", "c-0"),
    "stopping what there is not": Bad(
        StopInvocation(invoke_id="t-0"), "InvalidInvokeId.NotFound", "invocation ls"
    ),
    "looking at what there is not": Bad(
        DescribeRuns(invoke_id="t-0"), "InvalidInvokeId.NotFound", "invocation ls"
    ),
    "retrying what there is not": Bad(
        RetryInvocation(invoke_id="t-0"), "InvalidInvokeId.NotFound", "invocation ls"
    ),
    "page size": Bad(DescribeCommands(page_size=51), "InvalidParam.PageSize", "50"),
    "page number": Bad(DescribeInvocations(page_number=0), "InvalidParam.PageNumber", "1"),
    "max results": Bad(DescribeInvocations(max_results=0), "InvalidParameter.MaxResults", "50"),
    "next token": Bad(
        DescribeInvocationResults(next_token="x"), "InvalidParameter.NextToken", "leave it out"
    ),
    "unknown status": Bad(DescribeInvocations(invoke_status="Great"), "InvalidParameter", "Finished"),
    "output of everything": Bad(DescribeInvocations(include_output=True), "InvalidParameter", "InvokeId"),
    "ids that are no JSON": Bad(DescribeInstances(instance_ids="i-1"), "InvalidParameter", '["i-1"'),
    "status of an unknown instance": Bad(
        DescribeCloudAssistantStatus(instance_id=["i-7"]), "InvalidInstance.NotFound", "i-7"
    ),
    "preparing an unknown instance": Bad(
        InstallCloudAssistant(instance_id=["i-7"]), "InvalidInstance.NotFound", "i-7"
    ),
    "preparing nothing": Bad(InstallCloudAssistant(instance_id=[]), "MissingParam.InstanceId", "InstanceId"),
    "registering a known instance": Bad(add("i-1"), "InvalidInstance.AlreadyExists", "i-1"),
    "registering one twice": Bad(
        AddInstances(instances=[*add("i-9").instances, *add("i-9").instances]),
        "InvalidInstance.AlreadyExists",
        "i-9",
    ),
    "an id with a blank": Bad(add("i 9"), "InvalidInstance.Malformed", "id"),
    "a host that is none": Bad(add(host="10.0.0.9:22"), "InvalidInstance.Malformed", "host"),
    "a port that is none": Bad(add(port=70_000), "InvalidInstance.Malformed", "65535"),
    "a system that is none": Bad(add(os_type="beos"), "InvalidInstance.Malformed", "linux"),
    "a jump host that is not known": Bad(add(jump="i-8"), "InvalidInstance.Malformed", "i-8"),
    "a password in the open": Bad(add(password="hush"), "InvalidInstance.Malformed", "env:NAME"),
    "a local instance": Bad(add(transport="local"), "Operation.Forbidden", "CLOUDASSIST_ALLOW_LOCAL"),
    "removing an unknown instance": Bad(RemoveInstance(instance_id="i-7"), "InvalidInstance.NotFound", "i-7"),
    "selecting nothing": Bad(SelectInstances(), "MissingParam.InstanceId", "all of them"),
    "selecting by a name that nobody has": Bad(
        SelectInstances(name=["zz*"]), "InvalidInstance.NotFound", "instance ls"
    ),
    "an extension, for the vendor's clients": Bad(
        DescribeRuns(invoke_id="t-0"), "InvalidAction.NotFound", "DescribeRuns", ours=False
    ),
}


async def registered(plane: Plane) -> None:  # noqa: F811 - the fixture
    await handle(
        plane,
        AddInstances(
            instances=[
                InstanceRegistration(instance_id="i-1", host="10.0.0.1"),
                InstanceRegistration(instance_id="i-win", host="10.0.0.2", os_type="windows"),
            ]
        ),
        LOCAL,
    )


async def kept(plane: Plane) -> tuple[int, int, int]:  # noqa: F811 - the fixture
    """How many invocations, commands and instances there are."""
    invocations = await plane.store.invocations.page(InvocationFilter(), limit=1, count=True)
    return invocations.total, await plane.store.commands.count(), len(await plane.store.instances.all())


@pytest.mark.parametrize("bad", TABLE.values(), ids=TABLE)
async def test_it_is_refused_in_one_line_and_nothing_is_done(bad: Bad, plane: Plane) -> None:  # noqa: F811
    await registered(plane)
    before = await kept(plane)

    with pytest.raises(CloudAssistError) as error:
        await handle(plane, bad.operation, LOCAL if bad.ours else STRANGER)

    line = describe_error(error.value, type(bad.operation))
    assert line.startswith(f"{bad.code}: ")
    assert bad.said in line
    assert "\n" not in line
    assert "hush" not in line
    assert wire_error_of(error.value, type(bad.operation))[1] < 500
    assert await kept(plane) == before


async def test_the_day_s_quota_is_refused_and_only_runs_count(plane: Plane) -> None:  # noqa: F811
    await registered(plane)
    limited = replace(replace_limits(plane, invocations_per_day=1), clock=StandingClock(plane.clock.now_ms()))
    await handle(limited, run(), STRANGER)

    with pytest.raises(CloudAssistError) as error:
        await handle(limited, run(), STRANGER)

    assert describe_error(error.value).startswith("Invocation.ExceedQuota: ")
    assert (await kept(plane))[0] == 1


async def test_a_hundred_and_first_command_is_refused(plane: Plane) -> None:  # noqa: F811
    limited = replace_limits(plane, commands=1)
    await handle(limited, create(), STRANGER)

    with pytest.raises(CloudAssistError) as error:
        await handle(limited, create(), STRANGER)

    assert describe_error(error.value).startswith("CmdCount.ExceedQuota: ")
    assert (await kept(plane))[1] == 1


@dataclass(frozen=True)
class StandingClock:
    """For what is counted by the day: it does not come to midnight."""

    ms: int

    def now_ms(self) -> int:
        return self.ms


def replace_limits(plane: Plane, **limits: int) -> Plane:  # noqa: F811 - the fixture
    settings = replace(plane.settings, limits=replace(plane.settings.limits, **limits))
    return replace(plane, settings=settings)


async def test_a_stopped_broker_is_said_before_anything_is_opened(
    store_server: ValkeyServer,  # noqa: F811
    plane: Plane,  # noqa: F811
    tmp_path: Path,
) -> None:
    await registered(plane)
    variables = {
        **environment(store_server, tmp_path),
        "CLOUDASSIST_BROKER_URL": "redis://:hush@127.0.0.1:1/1",
    }
    settings = config.load(variables)
    lonely = await wiring.open_plane(settings, wiring.find_servers(settings))

    with pytest.raises(Broken) as error:
        await handle(lonely, run(), STRANGER)

    line = describe_error(error.value)
    assert line.startswith("ServiceUnavailable: ")
    assert "127.0.0.1:1" in line
    assert "hush" not in line
    assert (await kept(plane))[0] == 0
    assert await plane.store.invocations_on(datetime.now(UTC).strftime("%Y-%m-%d")) == 0
    await lonely.close()


async def test_a_stopped_store_is_said_in_one_line(tmp_path: Path) -> None:
    with private_valkey() as server:
        settings = config.load(environment(server, tmp_path))
        opened = await wiring.open_plane(settings, wiring.find_servers(settings))
        server.stop()

        with pytest.raises(Broken) as error:
            await handle(opened, run(), STRANGER)

        line = describe_error(error.value)
        assert line.startswith("ServiceUnavailable: ")
        assert "\n" not in line
        await opened.close()
        server.start()
