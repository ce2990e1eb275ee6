"""Time zones of schedules, and the two ways of telling a time: an instant, and the local clock.

Both are whole seconds since 1970-01-01 00:00:00: an *instant* in UTC, a *wall* time as the clock of the zone
shows it, whatever its offset. The rules of a zone come from the tz database of the machine.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudassist_tasks.domain.schedule.refusing import bad_frequency, shown

DAY_S = 86_400
LONGEST_CHANGE_S = DAY_S
"""No zone ever moved its clock by more at once (Samoa left out a day in 2011)."""

_EPOCH = datetime(1970, 1, 1)
_IANA = re.compile(r"(?!posix/|right/)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)+")
_GMT = re.compile(r"GMT(?P<sign>[+-])(?P<hours>0|[1-9][0-9]?):(?P<minutes>[0-5][0-9])")
_MAY_BE = "it may be Area/City as in Asia/Shanghai, GMT+8:00 (from GMT-12:59 to GMT+14:59) or UTC"


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone; equal by name."""

    name: str
    tz: tzinfo = field(repr=False, compare=False)

    @property
    def fixed(self) -> bool:
        """Whether its offset never changes."""
        return isinstance(self.tz, timezone)

    def offset_s(self, instant_s: int) -> int:
        """What the local clock is ahead of UTC at that instant."""
        return _seconds(datetime.fromtimestamp(instant_s, self.tz).utcoffset())

    def instant_s(self, wall_s: int, *, again: bool = False) -> int:
        """When the clock shows that; of a time shown twice the first or, `again`, the second. A time that is
        left out counts from the clock as it was before the change (RFC 5545, 3.3.5): 02:30 is 03:30."""
        return wall_s - self._offset_at_wall_s(wall_s, again=again)

    def is_shown(self, wall_s: int) -> bool:
        """False: the clock jumps over that time."""
        return self.offset_s(self.instant_s(wall_s)) == self._offset_at_wall_s(wall_s)

    def is_in_change(self, wall_s: int) -> bool:
        """Whether the clock jumps over that time, or shows it twice."""
        return self._offset_at_wall_s(wall_s) != self._offset_at_wall_s(wall_s, again=True)

    def change_end_s(self, wall_s: int) -> int:
        """The first wall time after the change that `wall_s` is in."""
        inside, outside = wall_s, wall_s + LONGEST_CHANGE_S + 1
        while outside - inside > 1:
            middle = (inside + outside) // 2
            if self.is_in_change(middle):
                inside = middle
            else:
                outside = middle
        return outside

    def change_s(self, after_s: int, until_s: int) -> int:
        """The instant, after one and not after the other, from which the offset is another."""
        before, offset_s = after_s, self.offset_s(after_s)
        while until_s - before > 1:
            middle = (before + until_s) // 2
            if self.offset_s(middle) == offset_s:
                before = middle
            else:
                until_s = middle
        return until_s

    def _offset_at_wall_s(self, wall_s: int, *, again: bool = False) -> int:
        wall = _EPOCH + timedelta(seconds=wall_s)
        return _seconds(wall.replace(tzinfo=self.tz, fold=int(again)).utcoffset())


def parse_zone(text: str) -> Zone:
    """From `Area/City`, `GMT±H:mm`, `GMT` or `UTC`. `Refused(BAD_FREQUENCY)` for anything else: abbreviations
    mean different zones to different people."""
    if text in ("UTC", "GMT"):
        return Zone(text, UTC)
    if found := _GMT.fullmatch(text):
        return Zone(text, _fixed(text, found["sign"], int(found["hours"]), int(found["minutes"])))
    if not _IANA.fullmatch(text):
        raise bad_frequency(f"the time zone is {shown(text)}; {_MAY_BE}")
    try:
        return Zone(text, ZoneInfo(text))
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise bad_frequency(f"the time zone {shown(text)} does not exist; {_MAY_BE}") from None


def _fixed(text: str, sign: str, hours: int, minutes: int) -> timezone:
    if hours > (14 if sign == "+" else 12):
        raise bad_frequency(f"the time zone is {shown(text)}: no zone is {hours} hours from UTC; {_MAY_BE}")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if sign == "+" else -offset)


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None  # every tzinfo here has one
    return round(offset.total_seconds())
