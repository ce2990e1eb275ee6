"""Commands that are kept: make, list, change, remove."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cloudassist_tasks.contract.operation import Result, Tag, TagItem, Wire
from cloudassist_tasks.contract.paging import Listing, PagedResult
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCommandResult(Result):
    command_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCommand(RegionalOperation[CreateCommandResult]):
    """Keep a command, to be invoked any number of times."""

    name: str
    type: str
    """RunShellScript, RunBatScript, RunPowerShellScript."""
    command_content: str = field(repr=False)
    content_encoding: str | None = None
    """Base64 (default) or PlainText. RunCommand's default is the other one."""
    description: str | None = None
    working_dir: str | None = None
    timeout: int | None = None
    """Seconds; less than 10 is raised to 10."""
    enable_parameter: bool | None = None
    launcher: str | None = None
    client_token: str | None = None
    resource_group_id: str | None = None
    tag: Sequence[Tag] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyCommandResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyCommand(RegionalOperation[ModifyCommandResult]):
    """Change a kept command for its later runs. What is None stays as it is."""

    command_id: str
    name: str | None = None
    description: str | None = None
    working_dir: str | None = None
    timeout: int | None = None
    launcher: str | None = None
    command_content: str | None = field(default=None, repr=False)
    """Accepted, without effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCommandResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCommand(RegionalOperation[DeleteCommandResult]):
    """Remove a kept command; refused while an invocation of it is open. Past invocations stay."""

    command_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDefinition:
    """A parameter of a public command; there are no public commands yet."""

    parameter_name: str
    description: str = ""
    default_value: str = ""
    required: bool = False
    possible_values: Annotated[Sequence[str], Wire(item="PossibleValue")] = ()
    pattern_regex: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandItem:
    command_id: str
    name: str
    type: str
    description: str
    command_content: str = field(repr=False)
    working_dir: str
    timeout: int
    enable_parameter: bool
    parameter_names: Annotated[Sequence[str], Wire(item="ParameterName")] = ()
    """As the content names them; empty when parameters are not enabled."""
    parameter_definitions: Annotated[Sequence[ParameterDefinition], Wire(item="ParameterDefinition")] = ()
    launcher: str = ""
    creation_time: str = ""
    invoke_times: int = 0
    """How many invocations were made from it."""
    resource_group_id: str = ""
    tags: Annotated[Sequence[TagItem], Wire(item="Tag")] = ()
    provider: str | None = None
    category: str | None = None
    version: int | None = None
    latest: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeCommandsResult(PagedResult):
    commands: Annotated[Sequence[CommandItem], Wire(item="Command")] = ()
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeCommands(Listing[DescribeCommandsResult]):
    """List kept commands. All filters must hold; `*` is a wildcard in name and description."""

    command_id: str | None = None
    name: str | None = None
    description: str | None = None
    type: str | None = None
    provider: str | None = None
    """Of public commands; there are none yet, so any provider lists nothing."""
    latest: bool | None = None
    content_encoding: str | None = None
    """Of the content in the reply: Base64 (default) or PlainText."""
