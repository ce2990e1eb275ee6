"""The audit: a stream for each part, trimmed by age and number, read as one.

What may wait is gathered while a write is under way and leaves with the next: under load many records
share one round trip. While the store is away or full they wait for it, and stand in the log.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice

from cloudassist_tasks.domain.audit import AuditPart, AuditRecord
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.audit import AuditPage, Keep
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.link import Command, Link

CHUNK = 200
"""Records read, or written, in one round trip."""

MOST_LOOKED_AT = 20_000
"""Records that one page looks at: bounds how long it takes where few of them fit."""

MOST_WAITING = 10_000
"""Records that wait to be written. More come only while the store is away."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
"""Before the store is tried again."""

_PARTS = tuple(AuditPart)
_Place = tuple[int, int]
"""A stream's id."""
_Reply = Sequence[tuple[bytes, Sequence[bytes]]]
"""Ids, and names and values in turn."""


class RedisAudit:
    """`ports.audit.Audit`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[tuple[AuditRecord, Keep]] = deque()
        self._late = 0
        """How many of them, from the first on, were to be written before, and stand in the log."""
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, record: AuditRecord, keep: Keep) -> None:
        await self._link.batch(_commands(record, keep))

    def write_soon(self, record: AuditRecord, keep: Keep) -> None:
        if len(self._waiting) >= MOST_WAITING:
            _log("audit_record_lost", logging.ERROR, [record], "too many records wait for the store")
            return
        self._waiting.append((record, keep))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_waiting())

    async def close(self) -> None:
        """Write what waits."""
        self._closing.set()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def page(
        self, *, where: Callable[[AuditRecord], bool], limit: int, cursor: str = "", since_ms: int = 0
    ) -> AuditPage:
        place = _place_of(cursor) if cursor else None
        found: list[AuditRecord] = []
        looked_at, full_at = 0, None
        while looked_at < MOST_LOOKED_AT:
            entries, more = await self._before(place, since_ms)
            for place, record in entries:
                if full_at is not None and place != full_at:  # ids of two streams may be the same
                    return AuditPage(records=found, cursor=_text(full_at))
                looked_at += 1
                if where(record):
                    found.append(record)
                if len(found) >= limit:
                    full_at = place
            if not more:
                return AuditPage(records=found, cursor="")
        return AuditPage(records=found, cursor=_text(place) if place else "")

    async def newest(self) -> str:
        replies = await self._link.batch(
            [("XREVRANGE", keys.audit(part), "+", "-", "COUNT", 1) for part in _PARTS]
        )
        return ",".join(_text(_place(reply[0][0])) if reply else "0-0" for reply in replies)

    async def after(self, position: str, *, limit: int) -> AuditPage:
        places = [_text(_place_of(word)) for word in position.split(",")]
        replies = await self._link.batch(
            [
                ("XRANGE", keys.audit(part), f"({place}", "+", "COUNT", limit)
                for part, place in zip(_PARTS, places, strict=True)
            ]
        )
        entries = sorted(
            ((_place(id_), _record(part, flat)) for part, reply in _by_part(replies) for id_, flat in reply),
            key=lambda entry: entry[0],
        )
        behind = [
            _text(_place(reply[-1][0])) if reply else place
            for place, reply in zip(places, replies, strict=True)
        ]
        return AuditPage(records=[record for _, record in entries], cursor=",".join(behind))

    async def _before(
        self, place: _Place | None, since_ms: int
    ) -> tuple[Sequence[tuple[_Place, AuditRecord]], bool]:
        """The next records before a place, newest first, and whether there may be more. A stream of which
        only a part was read bounds how far the others may be shown."""
        end = f"({_text(place)}" if place else "+"
        replies = await self._link.batch(
            [("XREVRANGE", keys.audit(part), end, max(0, since_ms), "COUNT", CHUNK) for part in _PARTS]
        )
        cut = [_place(reply[-1][0]) for reply in replies if len(reply) == CHUNK]
        bound = max(cut, default=(0, 0))
        entries = [
            (at, _record(part, flat))
            for part, reply in _by_part(replies)
            for id_, flat in reply
            if (at := _place(id_)) >= bound
        ]
        return sorted(entries, key=lambda entry: entry[0], reverse=True), bool(cut)

    async def _write_waiting(self) -> None:
        pause_s = FIRST_PAUSE_S
        try:
            while self._waiting:
                taken = list(islice(self._waiting, CHUNK))
                try:
                    await self._link.batch([words for one in taken for words in _commands(*one)])
                except Broken as error:
                    self._are_late(str(error))
                    if self._closing.is_set():
                        return self._give_up(str(error))
                    await self._pause(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                else:
                    for _ in taken:
                        self._waiting.popleft()
                    self._late = max(0, self._late - len(taken))
                    pause_s = FIRST_PAUSE_S
        finally:
            self._writing = None

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()

    def _are_late(self, why: str) -> None:
        """They stand in the log from now on: this process may be killed before the store is back."""
        new = [record for record, _ in islice(self._waiting, self._late, None)]
        _log("audit_record_late", logging.WARNING, new, why)
        self._late = len(self._waiting)

    def _give_up(self, why: str) -> None:
        _log("audit_record_lost", logging.ERROR, [record for record, _ in self._waiting], why)
        self._waiting.clear()
        self._late = 0


def _log(event: str, level: int, records: Sequence[AuditRecord], why: str) -> None:
    for record in records:
        log(
            event,
            level,
            caller=record.caller,
            action=record.action,
            outcome=record.outcome,
            request_id=record.request_id,
            invoke_id=record.invoke_id,
            error=why,
        )


def _commands(record: AuditRecord, keep: Keep) -> Sequence[Command]:
    key = keys.audit(record.part)
    fields: dict[str, str | int] = {
        "at": record.at_ms,
        "caller": record.caller,
        "role": record.role,
        "source": record.source,
        "action": record.action,
        "arguments": json.dumps(dict(record.arguments), ensure_ascii=True, separators=(",", ":")),
        "outcome": record.outcome,
        "status": record.status,
        "request_id": record.request_id,
        "invoke_id": record.invoke_id,
    }
    words: list[str | int] = [word for name, value in fields.items() for word in (name, value)]
    return (
        ("XADD", key, "MAXLEN", "~", max(1, keep.most), "*", *words),
        ("XTRIM", key, "MINID", "~", max(0, keep.since_ms)),
    )


def _record(part: AuditPart, flat: Sequence[bytes]) -> AuditRecord:
    try:
        text = {name.decode(): value.decode() for name, value in hash_of(flat).items()}
        return AuditRecord(
            part=part,
            at_ms=int(text["at"]),
            caller=text["caller"],
            role=text["role"],
            source=text["source"],
            action=text["action"],
            arguments=json.loads(text["arguments"]),
            outcome=text["outcome"],
            status=int(text["status"]),
            request_id=text["request_id"],
            invoke_id=text["invoke_id"],
        )
    except (KeyError, ValueError) as error:
        raise Broken(f"what the store holds in {keys.audit(part)} makes no sense; trim it") from error


def _by_part(replies: Sequence[_Reply]) -> Sequence[tuple[AuditPart, _Reply]]:
    return list(zip(_PARTS, replies, strict=True))


def _place(id_: bytes) -> _Place:
    ms, _, number = id_.partition(b"-")
    return int(ms), int(number)


def _place_of(text: str) -> _Place:
    ms, dash, number = text.partition("-")
    if not (dash and ms.isdecimal() and number.isdecimal() and len(text) <= 41):
        raise Refused(Kind.BAD_NEXT_TOKEN, "NextToken is of another operation; leave it out to begin anew")
    return int(ms), int(number)


def _text(place: _Place) -> str:
    return f"{place[0]}-{place[1]}"
