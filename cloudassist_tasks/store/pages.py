"""Pages of a listing, newest first, filtered by a function of the caller.

A listing's entries sort by time and id; the cursor is the last entry that was looked at, so that it
stays right while others are added or removed. Entries whose object is gone are passed over.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.ports.listing import Page
from cloudassist_tasks.store.link import Link

T = TypeVar("T")

CHUNK = 100
"""How many objects are read in one round trip."""


async def read_page(
    link: Link,
    listing: str,
    load: Callable[[Sequence[bytes]], Awaitable[Sequence[T | None]]],
    *,
    where: Callable[[T], bool],
    limit: int,
    cursor: str,
    skip: int,
    count: bool,
) -> Page[T]:
    """`load` reads the objects of some entries, in order. With `count` the whole listing is read.

    `Refused(BAD_NEXT_TOKEN)` for a cursor that is none of ours."""
    items: list[tuple[bytes, T]] = []
    matching, position = 0, _position(cursor)
    wanted = limit + 1  # one more, to know whether the page is the last
    while count or len(items) < wanted:
        size = CHUNK if count else min(CHUNK, max(10, wanted))
        entries = await link.call("ZRANGE", listing, position, "-", "BYLEX", "REV", "LIMIT", 0, size)
        for entry, loaded in zip(entries, await load(entries) if entries else (), strict=True):
            if loaded is None or not where(loaded):
                continue
            matching += 1
            if matching > skip and len(items) < wanted:
                items.append((entry, loaded))
        if len(entries) < size:
            break
        position = b"(" + entries[-1]
    more = len(items) > limit
    page = items[:limit]
    return Page(
        items=[item for _, item in page],
        cursor=page[-1][0].decode() if more and page else "",
        total=matching if count else 0,
    )


def _position(cursor: str) -> bytes:
    """Where to begin: behind the cursor, or at the newest."""
    if not cursor:
        return b"+"
    time_ms, dot, id_ = cursor.partition(".")
    if not (len(time_ms) == 15 and time_ms.isdecimal() and dot and id_):
        raise Refused(Kind.BAD_NEXT_TOKEN, "the NextToken is none of ours; begin again without it")
    return b"(" + cursor.encode("utf-8", "replace")
