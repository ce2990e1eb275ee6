"""Tags that change after the thing was made are seen wherever it is shown, and found by every filter."""

from collections.abc import Mapping
from typing import Any

import pytest

from cloudassist_tasks.contract.commands import CreateCommand, DescribeCommands
from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.instances import DescribeInstances
from cloudassist_tasks.contract.invocations import DescribeInvocationResults, DescribeInvocations, RunCommand
from cloudassist_tasks.contract.operation import Operation, Tag, tags
from cloudassist_tasks.contract.tagging import (
    ListTagResources,
    TagFilterItem,
    TagResources,
    UntagResources,
)
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.installation import plane, store_server  # noqa: F401

Ids = Mapping[str, str]


@pytest.fixture
async def made(plane: Plane) -> Ids:  # noqa: F811 - the fixture
    """One thing of each type, with the tag env=test; its id by its type."""
    machine = InstanceRegistration(instance_id="i-1", host="10.0.0.1", tags={"env": "test"})
    await handle(plane, AddInstances(instances=[machine]), LOCAL)
    env = tags({"env": "test"})
    script = {
        "type": "RunShellScript",
        "command_content": "true",
        "content_encoding": "PlainText",
        "tag": env,
    }
    command = await handle(plane, CreateCommand(name="n", **script), LOCAL)  # type: ignore[arg-type]
    invocation = await handle(plane, RunCommand(instance_id=["i-1"], **script), LOCAL)  # type: ignore[arg-type]
    return {"command": command.command_id, "invocation": invocation.invoke_id, "instance": "i-1"}


async def listed(plane: Plane, **wanted: Any) -> list[tuple[str, str, str]]:  # noqa: F811
    answer = await handle(plane, ListTagResources(**wanted), LOCAL)
    return [(one.resource_id, one.tag_key, one.tag_value) for one in answer.tag_resources]


async def shown(plane: Plane, type_: str, **filters: str) -> list[dict[str, str]]:  # noqa: F811
    """The tags of all that a listing of the type finds by these tags."""
    wanted = tags(filters)
    match type_:
        case "command":
            commands = await handle(plane, DescribeCommands(tag=wanted), LOCAL)
            items = [one.tags for one in commands.commands]
        case "instance":
            instances = await handle(plane, DescribeInstances(tag=wanted), LOCAL)
            items = [one.tags for one in instances.instances]
        case _:
            invocations = await handle(plane, DescribeInvocations(tag=wanted), LOCAL)
            items = [one.tags for one in invocations.invocations]
    return [{one.tag_key: one.tag_value for one in tags_} for tags_ in items]


async def refusal(plane: Plane, operation: Operation[Any]) -> tuple[str, int]:  # noqa: F811
    with pytest.raises(Refused) as error:
        await handle(plane, operation, LOCAL)
    return wire_error_of(error.value, type(operation))


@pytest.mark.parametrize("type_", ["command", "invocation", "instance"])
async def test_new_tags_are_shown_and_found(plane: Plane, made: Ids, type_: str) -> None:  # noqa: F811
    change = TagResources(
        resource_type=type_, resource_id=[made[type_]], tag=tags({"env": "prod", "team": "web"})
    )

    await handle(plane, change, LOCAL)
    await handle(plane, change, LOCAL)

    assert await shown(plane, type_) == [{"env": "prod", "team": "web"}]
    assert await shown(plane, type_, env="prod") == [{"env": "prod", "team": "web"}]
    assert await shown(plane, type_, team="web") == [{"env": "prod", "team": "web"}]
    assert await shown(plane, type_, env="test") == []
    assert await listed(plane, resource_type=type_, tag=[Tag(key="team")]) == [
        (made[type_], "env", "prod"),
        (made[type_], "team", "web"),
    ]


@pytest.mark.parametrize("type_", ["command", "invocation", "instance"])
async def test_removed_tags_are_found_no_more(plane: Plane, made: Ids, type_: str) -> None:  # noqa: F811
    named = {"resource_type": type_, "resource_id": [made[type_]]}
    await handle(plane, TagResources(**named, tag=tags({"team": "web"})), LOCAL)  # type: ignore[arg-type]

    await handle(plane, UntagResources(**named, tag_key=["env", "nothing"]), LOCAL)  # type: ignore[arg-type]
    kept = await listed(plane, **named)
    found_by_env = await shown(plane, type_, env="test")
    await handle(plane, UntagResources(**named, all=True), LOCAL)  # type: ignore[arg-type]

    assert kept == [(made[type_], "team", "web")]
    assert found_by_env == []
    assert await listed(plane, **named) == []
    assert await shown(plane, type_, team="web") == []
    assert await shown(plane, type_) == [{}]


async def test_results_are_found_by_the_new_tags_too(plane: Plane, made: Ids) -> None:  # noqa: F811
    named = {"resource_type": "invocation", "resource_id": [made["invocation"]]}

    await handle(plane, TagResources(**named, tag=tags({"team": "web"})), LOCAL)  # type: ignore[arg-type]

    found = await handle(plane, DescribeInvocationResults(tag=tags({"team": "web"})), LOCAL)
    assert [one.invoke_id for one in found.invocation.invocation_results] == [made["invocation"]]


async def test_all_or_none_are_tagged(plane: Plane, made: Ids) -> None:  # noqa: F811
    change = TagResources(resource_type="instance", resource_id=["i-1", "i-9"], tag=tags({"team": "web"}))

    refused = await refusal(plane, change)

    assert refused == ("InvalidResourceId.NotFound", 404)
    assert await shown(plane, "instance") == [{"env": "test"}]


async def test_where_one_would_have_too_many_tags_none_is_tagged(plane: Plane, made: Ids) -> None:  # noqa: F811
    many = {f"a-{n}": "" for n in range(plane.limits.tags_per_resource)}
    full = InstanceRegistration(instance_id="i-2", host="10.0.0.1", tags=many)
    await handle(plane, AddInstances(instances=[full]), LOCAL)
    change = TagResources(resource_type="instance", resource_id=["i-1", "i-2"], tag=tags({"team": "web"}))

    refused = await refusal(plane, change)

    assert refused == ("QuotaExceed.Tags", 403)
    assert await shown(plane, "instance", env="test") == [{"env": "test"}]


async def test_a_filter_may_name_several_values(plane: Plane, made: Ids) -> None:  # noqa: F811
    def by(*values: str) -> ListTagResources:
        return ListTagResources(
            resource_type="instance", tag_filter=[TagFilterItem(tag_key="env", tag_values=values)]
        )

    both, other, any_ = [
        len((await handle(plane, wanted, LOCAL)).tag_resources)
        for wanted in (by("test", "prod"), by("prod"), by())
    ]

    assert (both, other, any_) == (1, 0, 1)


async def test_many_are_listed_page_by_page(plane: Plane) -> None:  # noqa: F811
    machines = [
        InstanceRegistration(instance_id=f"i-{n}", host="10.0.0.1", tags={"env": "test"}) for n in range(120)
    ]
    await handle(plane, AddInstances(instances=machines), LOCAL)
    seen: list[str] = []
    token = ""

    while True:
        request = ListTagResources(resource_type="instance", tag=tags({"env": "test"}), next_token=token)
        answer = await handle(plane, request, LOCAL)
        seen += [one.resource_id for one in answer.tag_resources]
        token = answer.next_token
        if not token:
            break

    assert seen == [f"i-{n}" for n in range(120)]
