"""Policies: they narrow a key, whatever it asks for, and never widen its role."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.commands import DescribeCommands
from cloudassist_tasks.contract.extensions import (
    AddInstances,
    DescribeRegistrations,
    DescribeRuns,
    InstanceRegistration,
    ProbeInstances,
    RemoveInstance,
    RetryInvocation,
    SelectInstances,
)
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.instances import (
    DescribeCloudAssistantStatus,
    DescribeInstances,
    DescribeInstanceStatus,
    InstallCloudAssistant,
)
from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocations,
    RunCommand,
    StopInvocation,
)
from cloudassist_tasks.contract.keys import CreateAccessKey, DescribeAccessKeys
from cloudassist_tasks.contract.operation import Operation, Tag
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.domain.access import Caller, Role
from cloudassist_tasks.domain.errors import CloudAssistError
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.operations.callers import caller, contents, refusal, register
from tests.support.requests import some_requests
from tests.support.store import make
from tests.support.valkey import ValkeyServer

TESTER = caller(Role.ADMIN, tags={"env": "test"})
"""May use i-1 and i-2."""


@pytest.fixture(autouse=True)
async def instances(plane: Plane) -> None:
    await register(
        plane,
        make.instance("i-2", port=1, tags={"env": "test", "disk": "ssd"}),
        make.instance("i-3", port=1, tags={"env": "live", "disk": "ssd"}),
        make.instance("i-4", port=1),
        env="test",
    )


def script(*ids: str, **fields: object) -> RunCommand:
    """On these instances."""
    return RunCommand(
        type="RunShellScript",
        command_content="echo",
        instance_id=ids,
        **fields,  # type: ignore[arg-type]  # tests name what they are about
    )


async def opened(plane: Plane, *ids: str, **fields: object) -> str:
    """An invocation that somebody without limits has opened."""
    return (await handle(plane, script(*ids, **fields), caller())).invoke_id


# -- actions


async def test_a_policy_names_the_operations(plane: Plane) -> None:
    reader = caller(Role.ADMIN, actions=("Describe*", "RunCommand"))

    await handle(plane, DescribeInstances(), reader)
    await handle(plane, script("i-1"), reader)
    why = await refusal(plane, RemoveInstance(instance_id="i-1"), reader)

    assert why == "RemoveInstance is not allowed for CA1: its policy does not name this operation"


async def test_a_policy_does_not_widen_a_role(plane: Plane) -> None:
    await refusal(plane, script("i-1"), caller(Role.VIEWER, actions=("*",)))


@pytest.mark.parametrize(
    "limited",
    [
        caller(actions=("*",)),
        caller(tags={"env": "test"}),
        caller(users=("root",)),
    ],
)
async def test_a_limited_key_manages_no_keys(plane: Plane, limited: Caller) -> None:
    for operation in (CreateAccessKey(role="admin"), DescribeAccessKeys()):
        why = await refusal(plane, operation, limited)

        assert "a key that a policy limits does not manage keys" in why


# -- users


async def test_a_policy_names_whom_scripts_run_as(plane: Plane) -> None:
    deployer = caller(Role.OPERATOR, users=("deploy",))

    await handle(plane, script("i-1", username="deploy"), deployer)
    named = await refusal(plane, script("i-1", username="postgres"), deployer)
    silent = await refusal(plane, script("i-1"), deployer)

    assert "it may run as deploy, not as postgres" in named
    assert "it may run as deploy, not as root" in silent


async def test_a_file_is_placed_as_root_whoever_is_to_own_it(plane: Plane) -> None:
    """Whoever may write a file anywhere, may run as anybody."""
    file = SendFile(name="f", content="x", target_dir="/etc/cron.d", instance_id=["i-1"], file_owner="deploy")

    why = await refusal(plane, file, caller(Role.OPERATOR, users=("deploy",)))

    assert "it may run as deploy, not as root" in why
    await handle(plane, file, caller(Role.OPERATOR, users=("deploy", "root")))


async def test_a_retry_runs_as_the_user_of_before(plane: Plane) -> None:
    invoke_id = await opened(plane, "i-1", username="postgres")

    why = await refusal(plane, RetryInvocation(invoke_id=invoke_id), caller(users=("deploy",)))

    assert "not as postgres" in why


# -- instances


@pytest.mark.parametrize(
    "operation",
    [
        script("i-1", "i-3"),
        StopInvocation(invoke_id="t-1", instance_id=["i-3"]),
        DescribeInvocations(instance_id="i-3"),
        DescribeInvocationResults(instance_id="i-3"),
        DescribeCloudAssistantStatus(instance_id=["i-3"]),
        DescribeInstanceStatus(instance_id=["i-1", "i-3"]),
        InstallCloudAssistant(instance_id=["i-4"]),
        ProbeInstances(instance_id=["i-4"]),
        SelectInstances(instance_id=["i-3"]),
        RemoveInstance(instance_id="i-3"),
        script("i-9"),
    ],
)
async def test_an_instance_without_the_tags_is_refused(plane: Plane, operation: Operation[Any]) -> None:
    why = await refusal(plane, operation, TESTER)

    assert "limited to instances with the tags env=test, which are not those of i-" in why


async def test_an_instance_with_the_tags_is_used(plane: Plane) -> None:
    result = await handle(plane, script("i-2", "i-1"), TESTER)

    shown = await handle(plane, DescribeRuns(invoke_id=result.invoke_id, limit=10), TESTER)
    assert {"i-1", "i-2"} == {run.instance_id for run in shown.runs}


async def test_tags_select_among_the_instances_of_the_policy(plane: Plane) -> None:
    request = RunCommand(
        type="RunShellScript", command_content="echo", resource_tag=[Tag(key="disk", value="ssd")]
    )

    result = await handle(plane, request, TESTER)

    shown = await handle(plane, DescribeRuns(invoke_id=result.invoke_id, limit=10), TESTER)
    assert [run.instance_id for run in shown.runs] == ["i-2"]


async def test_listings_show_the_instances_of_the_policy(plane: Plane) -> None:
    listed = await handle(plane, DescribeInstances(max_results=10), TESTER)
    statuses = await handle(plane, DescribeInstanceStatus(), TESTER)
    clients = await handle(plane, DescribeCloudAssistantStatus(), TESTER)
    registered = await handle(plane, DescribeRegistrations(), TESTER)
    selected = await handle(plane, SelectInstances(all=True), TESTER)

    assert [item.instance_id for item in listed.instances] == ["i-1", "i-2"]
    assert listed.total_count == 2
    assert [item.instance_id for item in statuses.instance_statuses] == ["i-1", "i-2"]
    assert [item.instance_id for item in clients.instance_cloud_assistant_status_set] == ["i-1", "i-2"]
    assert [item.registration.instance_id for item in registered.registrations] == ["i-1", "i-2"]
    assert list(selected.instance_id) == ["i-1", "i-2"]


async def test_an_invocation_is_used_where_all_its_instances_have_the_tags(plane: Plane) -> None:
    ours, mixed = await opened(plane, "i-1", "i-2"), await opened(plane, "i-1", "i-3")

    for invoke_id in (ours, mixed):
        whole: list[Operation[Any]] = [
            DescribeInvocations(invoke_id=invoke_id),
            DescribeInvocationResults(invoke_id=invoke_id),
            DescribeRuns(invoke_id=invoke_id),
            StopInvocation(invoke_id=invoke_id),
        ]
        for operation in whole:
            if invoke_id == ours:
                await handle(plane, operation, TESTER)
            else:
                assert "which are not those of i-3" in await refusal(plane, operation, TESTER)


async def test_of_another_invocation_the_parts_on_its_own_instances_are_seen_and_stopped(
    plane: Plane,
) -> None:
    mixed = await opened(plane, "i-1", "i-3")

    results = await handle(plane, DescribeInvocationResults(invoke_id=mixed, instance_id="i-1"), TESTER)
    await handle(plane, StopInvocation(invoke_id=mixed, instance_id=["i-1"]), TESTER)

    assert [result.instance_id for result in results.invocation.invocation_results] == ["i-1"]
    runs = await handle(plane, DescribeRuns(invoke_id=mixed, limit=10), caller())
    assert [run.ended for run in runs.runs] == [True, False]


async def test_an_invocation_is_not_used_once_an_instance_of_it_is_gone(plane: Plane) -> None:
    invoke_id = await opened(plane, "i-1", "i-2")
    await handle(plane, StopInvocation(invoke_id=invoke_id), caller())
    await handle(plane, RemoveInstance(instance_id="i-2"), caller())

    assert "i-2" in await refusal(plane, DescribeRuns(invoke_id=invoke_id), TESTER)


@pytest.mark.parametrize(
    "operation",
    [
        DescribeInvocations(),
        DescribeInvocations(command_id="c-1"),
        DescribeInvocationResults(),
        DescribeInvocations(invoke_id="t-unknown"),
    ],
)
async def test_a_listing_of_invocations_needs_an_instance_or_an_invocation(
    plane: Plane, operation: Operation[Any]
) -> None:
    await opened(plane, "i-3")

    await refusal(plane, operation, TESTER)


async def test_what_goes_beyond_the_instances_is_refused(plane: Plane) -> None:
    new = InstanceRegistration(instance_id="i-5", host="127.0.0.1", tags={"env": "test"})

    why = await refusal(plane, AddInstances(instances=[new]), TESTER)

    assert "this goes beyond" in why
    await handle(plane, DescribeCommands(), TESTER)


# -- whatever is asked


@pytest.mark.parametrize("action", sorted(OPERATIONS))
async def test_nothing_of_other_instances_is_seen_or_changed(
    plane: Plane, store_server: ValkeyServer, action: str
) -> None:
    hidden = make.instance("i-3", name="HIDDEN", host="127.0.0.3", port=1, tags={"env": "live"})
    await plane.store.instances.add([hidden], replace=True)
    theirs = (await handle(plane, script("i-3", name="HIDDEN", description="HIDDEN"), caller())).invoke_id
    texts = ["i-1", "i-3", theirs, "RunShellScript", "env", "live", "*", "HIDDEN*", "default", "60", ""]
    before = _of(store_server, "i-3", theirs)

    for operation in some_requests(OPERATIONS[action], texts, 12):
        try:
            result = await handle(plane, operation, TESTER)
        except CloudAssistError:
            continue  # as good an answer as any
        assert "HIDDEN" not in json.dumps(to_wire(result), default=str)

    assert _of(store_server, "i-3", theirs) == before


def _of(server: ValkeyServer, *names: str) -> Mapping[str, object]:
    """What the store and the broker hold under these names."""
    held = contents(server)
    return {key: value for key, value in held.items() if any(name in key for name in names)}
