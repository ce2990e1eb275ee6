"""A command: a script and how to run it; and what may be asked of one.

`checked_command` is the only way in for a caller's wishes; the smaller checks also serve what a single
call overrides (directory, user, timeout, launcher). Nothing is kept or started before they have passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from cloudassist_tasks.domain.content import check_size, parameter_names
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.domain.instance import NO_TAGS, Instance, OsType
from cloudassist_tasks.domain.launcher import parsed_launcher
from cloudassist_tasks.domain.limits import CLASSIC, Limits
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.text import check_length, check_visible, some_of

RESOURCE_GROUP_CHARS = 64


class CommandType(StrEnum):
    """The interpreter, and with it the OS that a command is for."""

    SHELL = "RunShellScript"
    BAT = "RunBatScript"
    POWERSHELL = "RunPowerShellScript"

    def fits(self, os_type: OsType) -> bool:
        """Whether a machine of this OS can run the type at all."""
        match self:
            case CommandType.SHELL:
                return os_type in (OsType.LINUX, OsType.FREEBSD)
            case CommandType.BAT | CommandType.POWERSHELL:
                return os_type is OsType.WINDOWS
            case _:
                assert_never(self)


class TerminationMode(StrEnum):
    """What a stop or a timeout kills."""

    PROCESS = "Process"
    """The script's own process."""
    PROCESS_TREE = "ProcessTree"
    """It, its descendants and its session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A script as it was made. Later changes of name, directory, timeout … apply to later runs only."""

    id: CommandId
    name: str
    type: CommandType
    content: Secret[bytes]
    description: str = ""
    working_dir: str = ""
    """Empty: the home of the run-as user."""
    timeout_s: int = 60
    enable_parameter: bool = False
    launcher: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    resource_group: str = ""
    """As it was given when it was made; it can be looked for."""
    kept: bool = True
    """False for the internal record of an immediate execution: not listed, no quota."""
    created_ms: int = 0
    invoke_times: int = 0


def checked_command(
    *,
    id: CommandId,
    type: str,
    content: bytes,
    name: str = "",
    description: str = "",
    working_dir: str = "",
    timeout_s: int | None = None,
    enable_parameter: bool = False,
    launcher: str = "",
    tags: Mapping[str, str] = NO_TAGS,
    resource_group: str = "",
    kept: bool = True,
    created_ms: int = 0,
    limits: Limits = CLASSIC,
) -> Command:
    """A command as asked for. `tags` are checked already (`tags.checked_tags`).

    `Refused`: BAD_COMMAND_TYPE, MISSING_VALUE (no content), CONTENT_TOO_LONG, the parameters' kinds, and
    those of the smaller checks below."""
    command_type = checked_type(type)
    if not content:
        raise Refused(
            Kind.MISSING_VALUE, "CommandContent is empty; give the script's text", about="CommandContent"
        )
    check_size(content, limits)
    parameter_names(content, limits, enabled=enable_parameter)
    check_name(name, limits)
    check_description(description, limits)
    check_working_dir(working_dir, limits)
    parsed_launcher(launcher, limits)
    check_resource_group(resource_group)
    return Command(
        id=id,
        name=name,
        type=command_type,
        content=Secret(content),
        description=description,
        working_dir=working_dir,
        timeout_s=checked_timeout(timeout_s, limits),
        enable_parameter=enable_parameter,
        launcher=launcher,
        tags=tags,
        resource_group=resource_group,
        kept=kept,
        created_ms=created_ms,
    )


def modified_command(
    command: Command,
    *,
    name: str | None = None,
    description: str | None = None,
    working_dir: str | None = None,
    timeout_s: int | None = None,
    launcher: str | None = None,
    limits: Limits = CLASSIC,
) -> Command:
    """The command with what is given changed; content and type never change. `Refused` as when it is made."""
    if name is not None:
        check_name(name, limits)
        command = replace(command, name=name)
    if description is not None:
        check_description(description, limits)
        command = replace(command, description=description)
    if working_dir is not None:
        check_working_dir(working_dir, limits)
        command = replace(command, working_dir=working_dir)
    if timeout_s is not None:
        command = replace(command, timeout_s=checked_timeout(timeout_s, limits))
    if launcher is not None:
        parsed_launcher(launcher, limits)
        command = replace(command, launcher=launcher)
    return command


def checked_type(name: str) -> CommandType:
    """`Refused(BAD_COMMAND_TYPE)` for a name that is no type."""
    try:
        return CommandType(name)
    except ValueError:
        raise Refused(
            Kind.BAD_COMMAND_TYPE, f"Type {name[:40]!r} does not exist; there are {', '.join(CommandType)}"
        ) from None


def checked_termination_mode(name: str) -> TerminationMode:
    """`Refused(BAD_TERMINATION_MODE)` for a name that is no mode."""
    try:
        return TerminationMode(name)
    except ValueError:
        raise Refused(
            Kind.BAD_TERMINATION_MODE,
            f"TerminationMode {name[:40]!r} does not exist; there are {', '.join(TerminationMode)}",
        ) from None


def checked_timeout(timeout_s: int | None, limits: Limits = CLASSIC) -> int:
    """Seconds: the default for None, raised to the least; `Refused(TIMEOUT_TOO_LONG)` above the most."""
    if timeout_s is None:
        return limits.timeout_default_s
    if timeout_s > limits.timeout_max_s:
        raise Refused(
            Kind.TIMEOUT_TOO_LONG,
            f"Timeout is {timeout_s} s, the limit is {limits.timeout_max_s} s; start longer work in the"
            " background",
        )
    return max(timeout_s, limits.timeout_min_s)


def check_name(name: str, limits: Limits = CLASSIC) -> None:
    """`Refused` NAME_TOO_LONG, BAD_CHARACTER_NAME."""
    check_length("Name", name, limits.name_chars, Kind.NAME_TOO_LONG)
    check_visible("Name", name, Kind.BAD_CHARACTER_NAME)


def check_description(description: str, limits: Limits = CLASSIC) -> None:
    """`Refused` DESCRIPTION_TOO_LONG, BAD_CHARACTER_DESCRIPTION."""
    check_length("Description", description, limits.description_chars, Kind.DESCRIPTION_TOO_LONG)
    check_visible("Description", description, Kind.BAD_CHARACTER_DESCRIPTION)


def check_working_dir(working_dir: str, limits: Limits = CLASSIC) -> None:
    """`Refused` WORKING_DIR_TOO_LONG, BAD_CHARACTER_WORKING_DIR. Only the instance knows if it exists."""
    check_length("WorkingDir", working_dir, limits.working_dir_chars, Kind.WORKING_DIR_TOO_LONG)
    check_visible("WorkingDir", working_dir, Kind.BAD_CHARACTER_WORKING_DIR)


def check_resource_group(resource_group: str) -> None:
    """Any word will do: there is no list of them. `Refused(RESOURCE_GROUP_NOT_FOUND)` for other texts."""
    check_length("ResourceGroupId", resource_group, RESOURCE_GROUP_CHARS, Kind.RESOURCE_GROUP_NOT_FOUND)
    check_visible("ResourceGroupId", resource_group, Kind.RESOURCE_GROUP_NOT_FOUND)


def check_username(username: str, limits: Limits = CLASSIC) -> None:
    """`Refused` USERNAME_TOO_LONG, BAD_VALUE. Only the instance knows whether it exists."""
    check_length("Username", username, limits.username_chars, Kind.USERNAME_TOO_LONG)
    check_visible("Username", username, Kind.BAD_VALUE)
    if username.startswith("-"):
        raise Refused(Kind.BAD_VALUE, "Username begins with -; no user is called so")


def check_os(command_type: CommandType, instances: Sequence[Instance]) -> None:
    """`Refused(WRONG_OS)`, naming the instances that cannot run the type."""
    unfit = [instance.id for instance in instances if not command_type.fits(instance.os_type)]
    if unfit:
        raise Refused(
            Kind.WRONG_OS,
            f"{command_type.value} cannot run on {some_of(unfit)}: wrong operating system;"
            " leave them out or choose another type",
        )
