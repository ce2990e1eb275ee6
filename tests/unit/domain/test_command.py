"""What may be asked of a command."""

from typing import Any

import pytest

from cloudassist_tasks.domain.command import (
    CommandType,
    TerminationMode,
    check_os,
    check_username,
    checked_command,
    checked_termination_mode,
    checked_timeout,
    modified_command,
)
from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.ids import CommandId, InstanceId
from cloudassist_tasks.domain.instance import Instance, OsType
from tests.unit.domain.refusals import refused

ASKED: dict[str, Any] = {"id": CommandId("c-1"), "type": "RunShellScript", "content": b"echo hi"}


def test_a_command_keeps_what_was_asked() -> None:
    command = checked_command(
        **ASKED,
        name="n",
        description="line",
        working_dir="/srv",
        timeout_s=90,
        enable_parameter=True,
        launcher="sh {{ACS::ScriptFileName}}",
        tags={"k": "v"},
        kept=False,
        created_ms=7,
    )

    assert (command.id, command.name, command.type) == ("c-1", "n", CommandType.SHELL)
    assert command.content.reveal() == b"echo hi"
    assert (
        command.description,
        command.working_dir,
        command.timeout_s,
        command.enable_parameter,
    ) == ("line", "/srv", 90, True)
    assert (
        command.launcher,
        command.tags,
        command.kept,
        command.created_ms,
    ) == ("sh {{ACS::ScriptFileName}}", {"k": "v"}, False, 7)
    assert "echo hi" not in repr(command)


def test_what_is_left_out_has_its_default() -> None:
    command = checked_command(**ASKED)

    assert (
        command.name,
        command.working_dir,
        command.timeout_s,
        command.enable_parameter,
        command.launcher,
        command.kept,
    ) == ("", "", 60, False, "", True)


FAULTS: list[tuple[dict[str, Any], Kind]] = [
    ({"type": "RunPerlScript"}, Kind.BAD_COMMAND_TYPE),
    ({"content": b""}, Kind.MISSING_VALUE),
    ({"content": b"x" * 20_000}, Kind.CONTENT_TOO_LONG),
    ({"content": b"{{}}", "enable_parameter": True}, Kind.PARAMETER_EMPTY_NAME),
    ({"name": "n" * 129}, Kind.NAME_TOO_LONG),
    ({"name": "a\tb"}, Kind.BAD_CHARACTER_NAME),
    ({"description": "d" * 513}, Kind.DESCRIPTION_TOO_LONG),
    ({"description": "a\x1bb"}, Kind.BAD_CHARACTER_DESCRIPTION),
    ({"working_dir": "/" + "d" * 200}, Kind.WORKING_DIR_TOO_LONG),
    ({"working_dir": "/a\nb"}, Kind.BAD_CHARACTER_WORKING_DIR),
    ({"timeout_s": 86_401}, Kind.TIMEOUT_TOO_LONG),
    ({"launcher": "python3"}, Kind.BAD_VALUE),
    ({"launcher": "p" * 2_000}, Kind.LAUNCHER_TOO_LONG),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_each_fault_is_refused_with_its_kind(fault: dict[str, Any], kind: Kind) -> None:
    with refused(kind):
        checked_command(**(ASKED | fault))


CHANGES: list[dict[str, Any]] = [
    {"name": "new"},
    {"description": "new"},
    {"working_dir": "/new"},
    {"timeout_s": 300},
    {"launcher": "sh {{ACS::ScriptFileName}}"},
    {"name": "", "description": ""},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_changes_only_what_is_given(change: dict[str, Any]) -> None:
    command = checked_command(**ASKED, name="old", description="old", working_dir="/old")

    changed = modified_command(command, **change)

    for name in ("id", "type", "content", "name", "description", "working_dir", "timeout_s", "launcher"):
        assert change.get(name, getattr(command, name)) == getattr(changed, name)


@pytest.mark.parametrize(
    ("fault", "kind"), [fault for fault in FAULTS if not fault[0].keys() & {"type", "content"}]
)
def test_a_change_is_refused_as_when_the_command_is_made(fault: dict[str, Any], kind: Kind) -> None:
    with refused(kind):
        modified_command(checked_command(**ASKED), **fault)


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 60), (0, 10), (-3, 10), (9, 10), (10, 10), (86_400, 86_400)]
)
def test_a_timeout_has_a_default_and_is_raised_to_ten_seconds(asked: int | None, granted: int) -> None:
    assert granted == checked_timeout(asked)


@pytest.mark.parametrize(
    ("username", "kind"),
    [("u" * 256, Kind.USERNAME_TOO_LONG), ("a\nb", Kind.BAD_VALUE), ("-u", Kind.BAD_VALUE)],
)
def test_a_user_that_cannot_exist_is_refused(username: str, kind: Kind) -> None:
    with refused(kind):
        check_username(username)
    check_username("deploy")


def test_the_termination_modes_are_two() -> None:
    assert TerminationMode.PROCESS is checked_termination_mode("Process")
    assert TerminationMode.PROCESS_TREE is checked_termination_mode("ProcessTree")
    with refused(Kind.BAD_TERMINATION_MODE):
        checked_termination_mode("Tree")


@pytest.mark.parametrize(
    ("command_type", "fitting"),
    [
        (CommandType.SHELL, {OsType.LINUX, OsType.FREEBSD}),
        (CommandType.BAT, {OsType.WINDOWS}),
        (CommandType.POWERSHELL, {OsType.WINDOWS}),
    ],
)
def test_a_type_runs_only_on_its_own_system(command_type: CommandType, fitting: set[OsType]) -> None:
    assert fitting == {os_type for os_type in OsType if command_type.fits(os_type)}


def test_instances_of_the_wrong_system_are_named() -> None:
    instances = [Instance(id=InstanceId(f"i-{n}"), host="h", os_type=OsType.LINUX) for n in range(8)]

    with refused(Kind.WRONG_OS, naming="i-0, i-1, i-2, i-3, i-4 and 3 more"):
        check_os(CommandType.BAT, instances)
    check_os(CommandType.SHELL, instances)
