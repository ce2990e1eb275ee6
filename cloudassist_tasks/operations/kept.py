"""Commands that are kept, for whoever names one."""

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.engine.plane import Plane


async def kept_command(plane: Plane, command_id: str) -> Command:
    """`Refused(COMMAND_NOT_FOUND)`."""
    command = await plane.store.commands.get(CommandId(command_id))
    if command is None:
        raise Refused(Kind.COMMAND_NOT_FOUND, f"no command {command_id[:64]}; see `cloudassist command ls`")
    return command
