"""Commands that are kept: make, list, change, copy, remove."""

import hashlib
from dataclasses import replace

from cloudassist_tasks.contract.commands import (
    CommandItem,
    CreateCommand,
    CreateCommandResult,
    DeleteCommand,
    DeleteCommandResult,
    DescribeCommands,
    DescribeCommandsResult,
    ModifyCommand,
    ModifyCommandResult,
)
from cloudassist_tasks.contract.extensions import CloneCommand, CloneCommandResult
from cloudassist_tasks.domain.command import Command, check_name, checked_command, modified_command
from cloudassist_tasks.domain.content import decoded_content, parameter_names
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.pagination import NumberedPage, TokenPage, checked_page, token_for
from cloudassist_tasks.domain.tokens import check_client_token
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.anew import until_made
from cloudassist_tasks.operations.kept import kept_command
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import (
    content_text,
    filter_of,
    tag_items,
    tags_of,
    time_text,
    wants_base64,
)
from cloudassist_tasks.ports.listing import CommandFilter, Page


@implements(CreateCommand)
async def create_command(plane: Plane, request: CreateCommand) -> CreateCommandResult:
    is_base64 = wants_base64(request.content_encoding, default=True)
    if not request.name:
        raise Refused(Kind.MISSING_VALUE, "Name is missing; give the command a name", about="Name")
    command = checked_command(
        id=_new_id(plane, request.client_token),
        type=request.type,
        content=decoded_content(request.command_content, is_base64=is_base64),
        name=request.name,
        description=request.description or "",
        working_dir=request.working_dir or "",
        timeout_s=request.timeout,
        enable_parameter=bool(request.enable_parameter),
        launcher=request.launcher or "",
        tags=tags_of(request.tag, plane.limits),
        resource_group=request.resource_group_id or "",
        created_ms=plane.clock.now_ms(),
        limits=plane.limits,
    )
    earlier = await plane.store.commands.get(command.id) if request.client_token else None
    made = earlier or await plane.store.commands.add(command, quota=plane.limits.commands)
    _check_as_asked(made, command)
    return CreateCommandResult(command_id=made.id)


@implements(ModifyCommand)
async def modify_command(plane: Plane, request: ModifyCommand) -> ModifyCommandResult:
    if request.name == "":
        raise Refused(Kind.MISSING_VALUE, "Name is empty; a kept command needs one", about="Name")

    async def attempt() -> bool:
        before = await kept_command(plane, request.command_id)
        after = modified_command(
            before,
            name=request.name,
            description=request.description,
            working_dir=request.working_dir,
            timeout_s=request.timeout,
            launcher=request.launcher,
            limits=plane.limits,
        )
        return await plane.store.commands.replace(after, instead_of=before)

    await until_made(f"command {request.command_id} is", attempt)
    return ModifyCommandResult()


@implements(CloneCommand)
async def clone_command(plane: Plane, request: CloneCommand) -> CloneCommandResult:
    original = await kept_command(plane, request.command_id)
    name = request.name or original.name
    check_name(name, plane.limits)
    clone = replace(
        original,
        id=CommandId(plane.new_id("c-")),
        name=name,
        created_ms=plane.clock.now_ms(),
        invoke_times=0,
    )
    await plane.store.commands.add(clone, quota=plane.limits.commands)
    return CloneCommandResult(command_id=clone.id)


@implements(DeleteCommand)
async def delete_command(plane: Plane, request: DeleteCommand) -> DeleteCommandResult:
    await plane.store.commands.remove(CommandId(request.command_id))
    return DeleteCommandResult()


@implements(DescribeCommands)
async def describe_commands(plane: Plane, request: DescribeCommands) -> DescribeCommandsResult:
    wanted = checked_page(
        max_results=request.max_results,
        next_token=request.next_token,
        page_number=request.page_number,
        page_size=request.page_size,
    )
    found = await _found(plane, request, wanted)
    as_base64 = wants_base64(request.content_encoding, default=True)
    numbered = isinstance(wanted, NumberedPage)
    return DescribeCommandsResult(
        commands=tuple(_item(command, plane.limits, as_base64=as_base64) for command in found.items),
        next_token="" if numbered else token_for(found.cursor),
        page_number=wanted.number if isinstance(wanted, NumberedPage) else 0,
        page_size=wanted.size,
        total_count=found.total,
    )


async def _found(plane: Plane, request: DescribeCommands, wanted: TokenPage | NumberedPage) -> Page[Command]:
    if request.provider:  # there are no public commands
        return Page(items=(), cursor="", total=0)
    fitting = CommandFilter(
        command_id=CommandId(request.command_id) if request.command_id else None,
        type=request.type or "",
        name=request.name or "",
        description=request.description or "",
        resource_group=request.resource_group_id or "",
        tags=filter_of(request.tag, plane.limits),
    )
    match wanted:
        case TokenPage(size=size, position=position):
            return await plane.store.commands.page(fitting, limit=size, cursor=position)
        case NumberedPage(size=size, skip=skip):
            return await plane.store.commands.page(fitting, limit=size, skip=skip, count=True)


def _item(command: Command, limits: Limits, *, as_base64: bool) -> CommandItem:
    content = command.content.reveal()
    return CommandItem(
        command_id=command.id,
        name=command.name,
        type=command.type,
        description=command.description,
        command_content=content_text(content, as_base64=as_base64),
        working_dir=command.working_dir,
        timeout=command.timeout_s,
        enable_parameter=command.enable_parameter,
        parameter_names=parameter_names(content, limits, enabled=command.enable_parameter),
        launcher=command.launcher,
        creation_time=time_text(command.created_ms),
        invoke_times=command.invoke_times,
        resource_group_id=command.resource_group,
        tags=tag_items(command.tags),
    )


def _new_id(plane: Plane, client_token: str | None) -> CommandId:
    """With a token the id follows from it, so that a repeated call finds what the first one made."""
    if not client_token:
        return CommandId(plane.new_id("c-"))
    check_client_token(client_token, plane.limits)
    return CommandId("c-" + hashlib.sha256(f"CreateCommand:{client_token}".encode()).hexdigest()[:20])


def _check_as_asked(made: Command, asked: Command) -> None:
    """`Refused(CLIENT_TOKEN_REUSED)` unless the command was made as it is asked for now."""
    if replace(asked, created_ms=made.created_ms, invoke_times=made.invoke_times) != made:
        raise Refused(
            Kind.CLIENT_TOKEN_REUSED,
            "this ClientToken was used for another command; use a new one for each command",
        )
