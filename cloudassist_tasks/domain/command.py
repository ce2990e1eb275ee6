"""A command: a script and how to run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.domain.instance import NO_TAGS, OsType
from cloudassist_tasks.domain.secret import Secret


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
    kept: bool = True
    """False for the internal record of an immediate execution: not listed, no quota."""
    created_ms: int = 0
    invoke_times: int = 0
