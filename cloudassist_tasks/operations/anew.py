"""Changes of what others may change, too: read, work out, write if it is still what was read."""

from collections.abc import Awaitable, Callable

from cloudassist_tasks.domain.errors import Broken

TRIES = 10


async def until_made(what: str, attempt: Callable[[], Awaitable[bool]]) -> None:
    """Begin anew as long as `attempt` finds that somebody else was faster; `Broken` after `TRIES` times."""
    for _ in range(TRIES):
        if await attempt():
            return
    raise Broken(f"{what} being changed by others all the time; try again")
