"""A Frequency: `rate(…)`, `at(…)` or a cron expression, read once and asked for its times.

A schedule is a value: what is stored is the expression, the zone it was read with and the time of creation.
Times are milliseconds since 1970 in UTC. Reading judges the grammar alone; what may be asked for is judged
in bounds.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cloudassist_tasks.domain.schedule.cron import END_S, LocalTimes
from cloudassist_tasks.domain.schedule.daylight import next_of_rhythm, next_time_of_day
from cloudassist_tasks.domain.schedule.fields import FIRST_YEAR, LAST_YEAR, YEAR, CronFields, parse_fields
from cloudassist_tasks.domain.schedule.refusing import bad_frequency, shown
from cloudassist_tasks.domain.schedule.words import at_words, cron_words, rate_words
from cloudassist_tasks.domain.schedule.zones import DAY_S, Zone, parse_zone

LONGEST_CHARS = 1_000
"""Of an expression; ours."""

_UNITS_S = {"S": 1, "M": 60, "H": 3_600, "D": 86_400}
_CALL = re.compile(r"(rate|at)\s*(\(.*)?", re.IGNORECASE | re.DOTALL)
_RATE = re.compile(r"\(\s*(?P<number>[0-9]{1,9})\s*(?P<unit>[smhd])\s*\)", re.IGNORECASE)
_AT = re.compile(
    r"\(\s*(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})\s+(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\s+(?P<zone>[^\s()]+))?\s*\)"
)
_YEAR = re.compile(r"\*|\?|\*/[0-9]+|.*(?:19[7-9][0-9]|20[0-9]{2}).*")
"""What makes the seventh word a year; else it is a zone. Source: the vendor's agent."""


class Schedule(Protocol):
    """When something runs."""

    @property
    def expression(self) -> str:
        """As it was given."""

    @property
    def zone(self) -> str:
        """The name of the time zone that it is read in."""

    @property
    def is_repeating(self) -> bool:
        """False: once, at a time."""

    def next_after(self, after_ms: int) -> int | None:
        """The first time after that one; None: there is no more."""

    def describe(self) -> str:
        """In words: `every 20 minutes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`rate(…)`: on a fixed grid from creation on, first one period after it, however long runs take."""

    expression: str
    created_ms: int
    period_s: int

    @property
    def zone(self) -> str:
        return "UTC"

    @property
    def is_repeating(self) -> bool:
        return True

    def next_after(self, after_ms: int) -> int | None:
        period_ms = self.period_s * 1_000
        return self.created_ms + max((after_ms - self.created_ms) // period_ms + 1, 1) * period_ms

    def describe(self) -> str:
        return rate_words(self.period_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """`at(…)`: once."""

    expression: str
    local: str
    zone: str
    at_ms: int

    @property
    def is_repeating(self) -> bool:
        return False

    def next_after(self, after_ms: int) -> int | None:
        return self.at_ms if self.at_ms > after_ms else None

    def describe(self) -> str:
        return at_words(self.local, self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron expression. What changes of the clock do to it stands in daylight.py."""

    expression: str
    fields: CronFields
    place: Zone
    local_times: LocalTimes = field(repr=False, compare=False)

    @property
    def zone(self) -> str:
        return self.place.name

    @property
    def is_repeating(self) -> bool:
        return True

    def next_after(self, after_ms: int) -> int | None:
        search = next_of_rhythm if self.fields.every_hour else next_time_of_day
        if after_ms // 1_000 > END_S + DAY_S:
            return None
        found_s = search(self.local_times.after, self.place, max(after_ms // 1_000, 0))
        return None if found_s is None else found_s * 1_000

    def describe(self) -> str:
        return cron_words(self.fields, self.zone)


def parse_schedule(expression: str, *, created_ms: int, zone: str = "UTC") -> Schedule:
    """Read a Frequency. `created_ms` anchors `rate(…)`; `zone` is that of a cron expression which names none.

    `Refused(BAD_FREQUENCY)` names the field that is wrong and what it may be."""
    text = expression.strip()
    if not text or len(text) > LONGEST_CHARS:
        raise bad_frequency(
            f"Frequency has {len(text)} characters; give 1 to {LONGEST_CHARS}, for example 0 */20 * * * *"
        )
    if call := _CALL.fullmatch(text):
        arguments = call[2] or ""
        if call[1].lower() == "rate":
            return _rate(expression, arguments, created_ms)
        return _at(expression, arguments)
    return _cron(expression, text.split(), zone)


def needs_zone(expression: str) -> bool:
    """Whether its times depend on a zone that it does not name itself: a cron expression without one."""
    parts = expression.split()
    return not _CALL.fullmatch(expression.strip()) and _own_zone(parts) is None


def _rate(expression: str, arguments: str, created_ms: int) -> Rate:
    found = _RATE.fullmatch(arguments)
    if found is None:
        raise bad_frequency(
            f"{shown(expression)} is no rate; write a number and one of s, m, h, d, as in rate(20m)"
        )
    period_s = int(found["number"]) * _UNITS_S[found["unit"].upper()]
    if period_s == 0:
        raise bad_frequency(f"the rate {shown(expression)} is zero; write rate(20m) for every 20 minutes")
    return Rate(expression=expression, created_ms=created_ms, period_s=period_s)


def _at(expression: str, arguments: str) -> At:
    found = _AT.fullmatch(arguments)
    if found is None:
        raise bad_frequency(
            f"{shown(expression)} is no time; write at(yyyy-MM-dd HH:mm:ss) or, with a time zone,"
            " at(2026-12-31 23:00:00 Asia/Shanghai)"
        )
    local = f"{found['date']} {found['time']}"
    place = parse_zone(found["zone"] or "UTC")
    try:
        wall = datetime.strptime(local, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise bad_frequency(f"{local} in {shown(expression)} is no date and time of the calendar") from None
    if not FIRST_YEAR <= wall.year <= LAST_YEAR:
        raise bad_frequency(f"the year of {shown(expression)} may be {FIRST_YEAR}-{LAST_YEAR}")
    wall_s = round((wall - datetime(1970, 1, 1)).total_seconds())
    return At(expression=expression, local=local, zone=place.name, at_ms=place.instant_s(wall_s) * 1_000)


def _cron(expression: str, parts: list[str], zone: str) -> Cron:
    if len(parts) not in (6, 7, 8):
        hint = f"; 5 lack the seconds: 0 {' '.join(parts)}" if len(parts) == 5 else ""
        raise bad_frequency(
            f"{shown(expression)} has {len(parts)} fields; write rate(20m), at(…) or"
            f" second minute hour day-of-month month day-of-week [year] [time zone]{hint}"
        )
    if (own := _own_zone(parts)) is not None:
        parts, zone = parts[:-1], _zone_or_year(own) if len(parts) == 7 else own
    fields = parse_fields(parts)
    return Cron(expression=expression, fields=fields, place=parse_zone(zone), local_times=LocalTimes(fields))


def _own_zone(parts: Sequence[str]) -> str | None:
    """The last word of a cron expression, where it stands for a zone."""
    is_there = len(parts) == 8 or (len(parts) == 7 and not _YEAR.fullmatch(parts[6]))
    return parts[-1] if is_there else None


def _zone_or_year(text: str) -> str:
    if text[0].isdigit():
        raise YEAR.refused(text, "it is out of its range")
    return text
