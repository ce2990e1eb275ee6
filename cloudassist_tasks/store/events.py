"""What has happened: one stream of the server's, written by the scripts that move runs.

Ids of the stream are cursors: they grow, whoever writes. What was dropped is remembered by the id of its
newest, so that a cursor from before is refused and one that missed nothing is not.
"""

import re
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from cloudassist_tasks import awake
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.events import OLDEST, Event, EventKind, Happened
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.address import pool_of
from cloudassist_tasks.store.link import ANSWER_WITHIN_S, CONNECT_WITHIN_S, Link

FIRST = (0, 0)
_CURSOR = re.compile(r"(\d{1,19})-(\d{1,19})")

DROPPED_AT_ONCE = 1_000
"""Events that one step drops: bounds how long the server is busy."""

MAX_FOLLOWERS = 10_000
"""Of one process, each on a connection while it waits. More than files can be open: that limit speaks
first."""


class RedisEvents:
    """`ports.events.Events`."""

    def __init__(self, link: Link, url: str) -> None:
        self._link = link
        pool = pool_of(
            url,
            max_connections=MAX_FOLLOWERS,
            socket_connect_timeout=CONNECT_WITHIN_S,
            socket_timeout=None,  # each wait has a deadline of its own
            client_name="cloudassist-events",
        )
        self._client = redis.asyncio.Redis.from_pool(pool)

    async def last(self) -> str:
        newest, dropped = await self._link.batch(
            [("XREVRANGE", keys.EVENTS, "+", "-", "COUNT", 1), ("GET", keys.EVENTS_DROPPED)]
        )
        found: bytes = newest[0][0] if newest else dropped or b"0-0"
        return found.decode()

    async def after(self, cursor: str, *, limit: int = 1_000, invoke_id: InvokeId | None = None) -> Happened:
        """Read first, then compared with what was dropped: what is dropped between the two is refused."""
        place = _place(cursor)
        entries, dropped = await self._link.batch(
            [
                ("XRANGE", keys.EVENTS, f"({_text(place)}", "+", "COUNT", limit),
                ("GET", keys.EVENTS_DROPPED),
            ]
        )
        if place != FIRST and dropped is not None and _place(dropped.decode()) > place:
            raise Refused(
                Kind.EVENTS_EXPIRED,
                f"events after {cursor} are no longer kept; look at what you follow, then begin anew",
            )
        if not entries:
            return Happened(events=(), cursor=cursor)
        return Happened(events=_events(entries, invoke_id), cursor=entries[-1][0].decode())

    async def wait(
        self, cursor: str, *, within_s: float, limit: int = 1_000, invoke_id: InvokeId | None = None
    ) -> Happened:
        """Blocks until something has come, then reads as `after` does: so an expired cursor is refused."""
        happened = await self.after(cursor, limit=limit, invoke_id=invoke_id)
        if happened.cursor != cursor or within_s <= 0:
            return happened
        if not await self._comes(_text(_place(cursor)), within_s):
            return happened
        return await self.after(cursor, limit=limit, invoke_id=invoke_id)

    async def trim(self, *, before_ms: int, at_most: int) -> int:
        dropped = 0
        while step := await self._link.script(
            "drop_events", [keys.EVENTS, keys.EVENTS_DROPPED], [before_ms, at_most, DROPPED_AT_ONCE]
        ):
            dropped += step
        return dropped

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def _comes(self, place: str, within_s: float) -> bool:
        """Whether something has come behind this place. On a connection that is not shared: it is blocked."""
        try:
            async with awake.timeout(within_s + ANSWER_WITHIN_S):
                found = await self._client.execute_command(  # type: ignore[no-untyped-call]
                    "XREAD", "COUNT", 1, "BLOCK", max(1, int(1_000 * within_s)), "STREAMS", keys.EVENTS, place
                )
        except (RedisError, OSError, TimeoutError) as error:
            raise Broken(
                f"the store at {self._link.address} cannot be reached: {error or type(error).__name__};"
                " is it up?"
            ) from error
        return bool(found)


def _place(cursor: str) -> tuple[int, int]:
    if cursor == OLDEST:
        return FIRST
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise Refused(Kind.BAD_CURSOR, "this cursor is none of ours; begin again without it")
    return int(found[1]), int(found[2])


def _text(place: tuple[int, int]) -> str:
    return f"{place[0]}-{place[1]}"


def _events(entries: Sequence[Any], invoke_id: InvokeId | None) -> Sequence[Event]:
    read = (_event(id_.decode(), fields) for id_, fields in entries)
    return [event for event in read if invoke_id is None or event.invoke_id == invoke_id]


def _event(id_: str, fields: Sequence[bytes]) -> Event:
    kind, about = EventKind(fields[0].decode()), fields[1].decode()
    at_ms = int(id_.partition("-")[0])
    if kind is not EventKind.RUN:
        of = RoundKey.parse(about)
        return Event(cursor=id_, at_ms=at_ms, kind=kind, invoke_id=of.invoke_id, round=of.round)
    key = RunKey.parse(about)
    return Event(
        cursor=id_,
        at_ms=at_ms,
        kind=kind,
        invoke_id=key.invoke_id,
        instance_id=key.instance_id,
        round=key.round,
        status=RunStatus(fields[3].decode()),
    )
