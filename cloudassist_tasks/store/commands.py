"""Kept commands."""

from collections.abc import Sequence

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.ports.listing import CommandFilter, Page
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.bits import highest
from cloudassist_tasks.store.command_records import command_doc, command_from, replaced_command_doc
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.reading import Found, entries, read


class RedisCommands:
    """`ports.commands.Commands`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def add(self, command: Command, *, quota: int) -> Command:
        word, *there = await self._link.script(
            "add_command",
            [
                keys.command(command.id),
                keys.COMMANDS,
                keys.LAST_COMMAND,
                keys.COMMAND_TEXTS,
                *facets.of_command(command),
            ],
            [
                quota,
                keys.entry(command.created_ms, command.id),
                command_doc(command),
                command.content.reveal(),
                command_text(command),
                int(command.kept),
            ],
        )
        if word == b"quota":
            raise over_quota(quota)
        return command_from(hash_of(there)) if there else command

    async def get(self, command_id: CommandId) -> Command | None:
        hash_ = hash_of(await self._link.call("HGETALL", keys.command(command_id)))
        return command_from(hash_) if hash_ else None

    async def replace(self, command: Command, *, instead_of: Command) -> bool:
        key, old = keys.command(command.id), facets.of_command(instead_of)
        doc = await self._link.call("HGET", key, "doc")
        changed = replaced_command_doc(doc, before=instead_of, after=command) if doc else None
        return changed is not None and bool(
            await self._link.script(
                "replace_command",
                [key, keys.COMMAND_TEXTS, *old, *facets.of_command(command)],
                [doc, changed, command_text(command), len(old)],
            )
        )

    async def remove(self, command_id: CommandId) -> None:
        word = b"again"
        while word == b"again":  # at the first look, and when another caller has changed it meanwhile
            now = hash_of(await self._link.call("HGETALL", keys.command(command_id)))
            if not now:
                raise not_found(command_id)
            word = await self._link.script(
                "remove_command",
                [
                    keys.command(command_id),
                    keys.COMMANDS,
                    keys.COMMANDS_IN_USE,
                    keys.COMMAND_TEXTS,
                    *facets.of_command(command_from(now)),
                ],
                [command_id, now[b"doc"]],
            )
        if word == b"in_use":
            raise Refused(
                Kind.COMMAND_IN_USE,
                f"command {command_id} is used by an open invocation; stop it or wait for its end",
            )

    async def count(self) -> int:
        return int(await self._link.call("ZCARD", keys.COMMANDS))

    async def page(
        self,
        wanted: CommandFilter,
        *,
        limit: int,
        cursor: str = "",
        skip: int = 0,
        count: bool = False,
    ) -> Page[Command]:
        narrowing = _narrowing(wanted)
        only = None
        if wanted.command_id is not None:
            number = await self._link.call("HGET", keys.command(wanted.command_id), "number")
            if number is None:
                return Page(items=(), cursor="", total=0)
            only = int(number)
        reading = await read(self._link, [keys.COMMAND_MARKS, *narrowing], only=only)
        found = Found(reading.span, reading.all_of(keys.COMMAND_MARKS, narrowing)).behind(cursor)
        if wanted.name or wanted.description:
            found = await self._by_texts(found, wanted)
        numbers = found.page(limit=limit, skip=skip, count=count)
        commands = await self._load(await entries(self._link, keys.COMMANDS, numbers.items))
        return Page(items=commands, cursor=numbers.cursor, total=numbers.total)

    # -- inside

    async def _by_texts(self, found: Found, wanted: CommandFilter) -> Found:
        """Those whose name and description fit. Both may change, so they are read as they are now."""
        candidates = list(highest(found.bits))
        if not candidates:
            return found
        texts = await self._link.call(
            "HMGET", keys.COMMAND_TEXTS, *[found.span.number(bit) for bit in candidates]
        )
        bits = 0
        for bit, text in zip(candidates, texts, strict=True):
            name, _, description = (text or b"").decode().partition("\n")
            fits = not wanted.name or matches(wanted.name, name)
            if fits and (not wanted.description or matches(wanted.description, description)):
                bits |= 1 << bit
        return found.keep(bits)

    async def _load(self, listed: Sequence[bytes | None]) -> Sequence[Command]:
        ids = [CommandId(keys.id_of(entry)) for entry in listed if entry]
        replies = await self._link.batch([("HGETALL", keys.command(id_)) for id_ in ids]) if ids else []
        return [command_from(hash_of(reply)) for reply in replies if reply]


def command_text(command: Command) -> str:
    """Its name and description, to be looked for. Neither can hold a line feed."""
    return f"{command.name}\n{command.description}"


def _narrowing(wanted: CommandFilter) -> list[str]:
    """The marks that all must hold."""
    marks = []
    if wanted.type:
        marks.append(keys.command_marks("type", wanted.type))
    if wanted.resource_group:
        marks.append(keys.command_marks("group", wanted.resource_group))
    return [*marks, *facets.of_tags(keys.command_marks, wanted.tags)]


def over_quota(quota: int) -> Refused:
    """Too many are kept."""
    return Refused(Kind.COMMAND_QUOTA, f"{quota} commands are kept already; delete one, or raise the limit")


def not_found(command_id: CommandId) -> Refused:
    """There is no such command."""
    return Refused(Kind.COMMAND_NOT_FOUND, f"command {command_id} does not exist; list them to see which do")
