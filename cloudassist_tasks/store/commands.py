"""Kept commands."""

from collections.abc import Callable, Sequence

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.ports.listing import Page
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.mapping import command_doc, command_from, hash_of
from cloudassist_tasks.store.pages import read_page


class RedisCommands:
    """`ports.store.Commands`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def add(self, command: Command, *, quota: int) -> None:
        word = await self._link.script(
            "add_command",
            [keys.command(command.id), keys.COMMANDS],
            [
                quota,
                keys.entry(command.created_ms, command.id),
                command_doc(command),
                command.content.reveal(),
                int(command.kept),
            ],
        )
        if word == b"quota":
            raise over_quota(quota)

    async def get(self, command_id: CommandId) -> Command | None:
        hash_ = hash_of(await self._link.call("HGETALL", keys.command(command_id)))
        return command_from(hash_) if hash_ else None

    async def replace(self, command: Command) -> None:
        done = await self._link.script("replace_command", [keys.command(command.id)], [command_doc(command)])
        if not done:
            raise not_found(command.id)

    async def remove(self, command_id: CommandId) -> None:
        word = await self._link.script(
            "remove_command",
            [keys.command(command_id), keys.COMMANDS, keys.COMMANDS_IN_USE],
            [command_id],
        )
        if word == b"missing":
            raise not_found(command_id)
        if word == b"in_use":
            raise Refused(
                Kind.COMMAND_IN_USE,
                f"command {command_id} is used by an open invocation; stop it or wait for its end",
            )

    async def count(self) -> int:
        return int(await self._link.call("ZCARD", keys.COMMANDS))

    async def page(
        self,
        *,
        where: Callable[[Command], bool],
        limit: int,
        cursor: str = "",
        skip: int = 0,
        count: bool = False,
    ) -> Page[Command]:
        return await read_page(
            self._link,
            keys.COMMANDS,
            self._load,
            where=where,
            limit=limit,
            cursor=cursor,
            skip=skip,
            count=count,
        )

    async def _load(self, entries: Sequence[bytes]) -> Sequence[Command | None]:
        ids = [CommandId(keys.id_of(entry)) for entry in entries]
        replies = await self._link.batch([("HGETALL", keys.command(id_)) for id_ in ids])
        return [command_from(hash_of(reply)) if reply else None for reply in replies]


def over_quota(quota: int) -> Refused:
    """Too many are kept."""
    return Refused(Kind.COMMAND_QUOTA, f"{quota} commands are kept already; delete one, or raise the limit")


def not_found(command_id: CommandId) -> Refused:
    """There is no such command."""
    return Refused(Kind.COMMAND_NOT_FOUND, f"command {command_id} does not exist; list them to see which do")
