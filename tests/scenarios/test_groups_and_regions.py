"""Resource groups and regions as callers name them; instances by state, address and place."""

from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.contract.commands import CreateCommand, DescribeCommands
from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.files import DescribeSendFileResults, SendFile
from cloudassist_tasks.contract.instances import DescribeInstances
from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocations,
    InvokeCommand,
    RunCommand,
)
from cloudassist_tasks.contract.regions import DescribeRegions
from cloudassist_tasks.domain.access import LOCAL, Caller, Role
from cloudassist_tasks.domain.errors import Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.installation import plane, store_server  # noqa: F401

STRANGER = Caller(name="stranger", role=Role.ADMIN)
"""A client of the vendor's that may do everything."""


@pytest.fixture
async def machines(plane: Plane) -> Plane:  # noqa: F811 - the fixture
    """i-1 in a private network, i-2 in the internet."""
    added = [
        InstanceRegistration(instance_id="i-1", host="10.0.0.1"),
        InstanceRegistration(instance_id="i-2", host="8.8.8.8"),
    ]
    await handle(plane, AddInstances(instances=added), LOCAL)
    return plane


async def test_everything_is_found_by_the_group_it_was_made_with(machines: Plane) -> None:
    async def sent(operation: Any) -> Any:
        return await handle(machines, operation, STRANGER)

    script: dict[str, Any] = {
        "type": "RunShellScript",
        "command_content": "true",
        "content_encoding": "PlainText",
    }
    kept = (await sent(CreateCommand(name="n", resource_group_id="rg-1", **script))).command_id
    await sent(CreateCommand(name="other", **script))
    run = (await sent(RunCommand(instance_id=["i-1"], resource_group_id="rg-1", **script))).invoke_id
    invoked = (await sent(InvokeCommand(command_id=kept, instance_id=["i-1"]))).invoke_id
    file = SendFile(name="f", content="x", target_dir="/", instance_id=["i-1"], resource_group_id="rg-1")
    filed = (await sent(file)).invoke_id

    commands = (await sent(DescribeCommands(resource_group_id="rg-1"))).commands
    invocations = (await sent(DescribeInvocations(resource_group_id="rg-1"))).invocations
    results = (await sent(DescribeInvocationResults(resource_group_id="rg-1"))).invocation.invocation_results
    files = (await sent(DescribeSendFileResults(resource_group_id="rg-1"))).invocations

    assert [(one.command_id, one.resource_group_id) for one in commands] == [(kept, "rg-1")]
    assert [one.invoke_id for one in invocations] == [run]
    assert [one.invoke_id for one in results] == [run]
    assert [one.invoke_id for one in files] == [filed]
    assert invoked not in {run, filed}
    assert (await sent(DescribeInvocations(resource_group_id="rg-2"))).invocations == ()


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"status": "Running"}, ["i-1", "i-2"]),
        ({"status": "Stopped"}, []),
        ({"private_ip_addresses": '["10.0.0.1"]'}, ["i-1"]),
        ({"public_ip_addresses": '["8.8.8.8", "10.0.0.1"]'}, ["i-2"]),
        ({"vpc_id": "vpc-1"}, []),
        ({"zone_id": "zone-1"}, []),
        ({"resource_group_id": "rg-1"}, []),
    ],
    ids=str,
)
async def test_instances_are_found_by_state_address_and_place(
    machines: Plane, filters: dict[str, Any], ids: list[str]
) -> None:
    found = await handle(machines, DescribeInstances(**filters), STRANGER)

    assert [one.instance_id for one in found.instances] == ids


async def test_an_address_of_the_internet_is_shown_as_one(machines: Plane) -> None:
    found = await handle(machines, DescribeInstances(), STRANGER)

    assert [one.public_ip_address for one in found.instances] == [(), ("8.8.8.8",)]


async def test_any_region_is_the_one_region(machines: Plane) -> None:
    answers = [
        await handle(machines, DescribeInstances(region_id=region), STRANGER)
        for region in (None, "", "cn-test", "default")
    ]
    regions = await handle(machines, DescribeRegions(), STRANGER)

    assert {len(answer.instances) for answer in answers} == {2}
    assert [one.region_id for one in regions.regions] == ["default"]


@pytest.mark.parametrize(
    ("region", "caller", "refused"),
    [
        ("north", STRANGER, None),
        ("south", STRANGER, None),
        ("west", STRANGER, ("InvalidRegionId.NotFound", 404)),
        ("west", LOCAL, ("InvalidRegionId.NotFound", 404)),
        (None, STRANGER, ("MissingRegionId", 400)),
        (None, LOCAL, None),
    ],
)
async def test_where_regions_are_named_no_other_is_known(
    machines: Plane, region: str | None, caller: Caller, refused: tuple[str, int] | None
) -> None:
    named = replace(machines, settings=replace(machines.settings, regions="north, south"))
    request = DescribeInstances(region_id=region)

    try:
        await handle(named, request, caller)
        answer = None
    except Refused as error:
        answer = wire_error_of(error, type(request))

    assert answer == refused
    regions = await handle(named, DescribeRegions(), caller)
    assert [one.region_id for one in regions.regions] == ["north", "south"]
