"""Two callers change one thing at once: what either was told is done is done, and within the limits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cloudassist_tasks.contract.commands import CommandItem, DeleteCommand, DescribeCommands, ModifyCommand
from cloudassist_tasks.contract.operation import Operation, tags
from cloudassist_tasks.contract.tagging import ListTagResources, TagResources
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.operations.callers import just_before
from tests.support.store import make

Change = Callable[..., Operation[Any]]


def tagging(type_: str, id_: str, given: dict[str, str]) -> TagResources:
    return TagResources(resource_type=type_, resource_id=[id_], tag=tags(given))


def renaming(command_id: str) -> ModifyCommand:
    return ModifyCommand(command_id=command_id, name="renamed")


def describing(command_id: str) -> ModifyCommand:
    return ModifyCommand(command_id=command_id, description="described")


def with_team(command_id: str) -> TagResources:
    return tagging("command", command_id, {"team": "web"})


def with_owner(command_id: str) -> TagResources:
    return tagging("command", command_id, {"owner": "me"})


def shown(command: CommandItem) -> dict[str, str]:
    return {
        "name": command.name,
        "description": command.description,
        **{one.tag_key: one.tag_value for one in command.tags},
    }


AS_MADE = {"name": "made", "description": ""}
CHANGED = {
    renaming: {"name": "renamed"},
    describing: {"description": "described"},
    with_team: {"team": "web"},
    with_owner: {"owner": "me"},
}


@pytest.fixture
async def command_id(plane: Plane) -> str:
    """Of a command that is kept."""
    command = make.command(name="made")
    await plane.store.commands.add(command, quota=9)
    return command.id


@pytest.mark.parametrize("second", [describing, with_owner])
@pytest.mark.parametrize("first", [renaming, with_team])
async def test_of_two_changes_of_a_command_neither_is_lost(
    plane: Plane, command_id: str, monkeypatch: pytest.MonkeyPatch, first: Change, second: Change
) -> None:
    other = partial(handle, plane, second(command_id), LOCAL)
    just_before(monkeypatch, plane.store.commands, "replace", other)

    await handle(plane, first(command_id), LOCAL)

    [command] = (await handle(plane, DescribeCommands(), LOCAL)).commands
    assert shown(command) == {**AS_MADE, **CHANGED[first], **CHANGED[second]}


@pytest.mark.parametrize(
    ("change", "kind"), [(renaming, Kind.COMMAND_NOT_FOUND), (with_team, Kind.RESOURCE_NOT_FOUND)]
)
async def test_a_command_that_is_deleted_before_it_was_changed_is_not_found(
    plane: Plane, command_id: str, monkeypatch: pytest.MonkeyPatch, change: Change, kind: Kind
) -> None:
    delete = partial(handle, plane, DeleteCommand(command_id=command_id), LOCAL)
    just_before(monkeypatch, plane.store.commands, "replace", delete)

    with pytest.raises(Refused) as refused:
        await handle(plane, change(command_id), LOCAL)

    assert refused.value.kind is kind
    assert await plane.store.commands.count() == 0


@pytest.mark.parametrize("change", [renaming, with_team])
async def test_a_change_that_never_finds_what_it_has_read_says_so(
    plane: Plane, command_id: str, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    async def changed_by_others(*_: Any, **__: Any) -> bool:
        return False

    monkeypatch.setattr(plane.store.commands, "replace", changed_by_others)

    with pytest.raises(Broken, match="try again"):
        await handle(plane, change(command_id), LOCAL)


@pytest.mark.parametrize("type_", ["command", "invocation", "instance"])
async def test_tags_of_two_callers_together_keep_to_the_limit(
    plane: Plane, command_id: str, monkeypatch: pytest.MonkeyPatch, type_: str
) -> None:
    await plane.store.instances.add([make.instance("i-1")])
    opened = await plane.store.invocations.open(make.opening("i-1"), now_ms=1_000)
    store = plane.store
    id_, part, step = {
        "command": (command_id, store.commands, "replace"),
        "invocation": (opened.invoke_id, store.tags, "retag_invocation"),
        "instance": ("i-1", store.tags, "retag_instance"),
    }[type_]
    just_enough = {f"a-{n}": "" for n in range(plane.limits.tags_per_resource - 1)}
    other = partial(handle, plane, tagging(type_, id_, just_enough), LOCAL)
    just_before(monkeypatch, part, step, other)

    with pytest.raises(Refused) as refused:
        await handle(plane, tagging(type_, id_, {"b-1": "", "b-2": ""}), LOCAL)

    assert refused.value.kind is Kind.TAG_QUOTA
    listed = await handle(plane, ListTagResources(resource_type=type_, resource_id=[id_]), LOCAL)
    assert {one.tag_key for one in listed.tag_resources} == set(just_enough)
