"""Commands, as they are kept."""

from typing import Protocol

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.ports.listing import CommandFilter, Page


class Commands(Protocol):
    async def add(self, command: Command, *, quota: int) -> Command:
        """Keep a command; what is kept by its id then. One that was there before is left as it is.
        `Refused(COMMAND_QUOTA)` if as many are kept already."""

    async def get(self, command_id: CommandId) -> Command | None: ...

    async def replace(self, command: Command, *, instead_of: Command) -> bool:
        """Name, description, directory, timeout, launcher, tags change in one step. False, and nothing done,
        if it is no longer `instead_of`, which the caller has read, or is gone."""

    async def remove(self, command_id: CommandId) -> None:
        """`Refused(COMMAND_NOT_FOUND)`; `Refused(COMMAND_IN_USE)` while an invocation of it is open."""

    async def count(self) -> int: ...

    async def page(
        self,
        wanted: CommandFilter,
        *,
        limit: int,
        cursor: str = "",
        skip: int = 0,
        count: bool = False,
    ) -> Page[Command]:
        """Those that fit, the one made last first, from indexes. `Refused(BAD_NEXT_TOKEN)`."""
