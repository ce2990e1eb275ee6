"""The fields of a cron expression: from text to numbers.

`sec min hour dom month dow [year]`, where Monday is 1 and Sunday is 7 or 0. What a field may hold is the
vendor's; what it leaves open is settled in docs/schedules.md. Nothing here knows times or zones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Refused
from cloudassist_tasks.domain.schedule.refusing import bad_frequency, shown

FIRST_YEAR, LAST_YEAR = 1970, 2099
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SUNDAY = 7

_NUMBER = re.compile(r"0?[0-9]|[1-9][0-9]{1,3}")
"""One leading zero at most. Source: the vendor's cron page."""
_STEPPED = re.compile(r"(?P<span>[^/]+)(?:/(?P<step>[^/]+))?")


def _named(words: Sequence[str]) -> dict[str, int]:
    """Short and full English names, from 1."""
    return {name: number for number, word in enumerate(words, 1) for name in (word[:3].upper(), word.upper())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: its name in errors, and what its numbers may be."""

    name: str
    lowest: int
    highest: int
    names: Mapping[str, int]
    may_be: str

    def refused(self, text: str, why: str) -> Refused:
        """To be raised: this field holds `text`, and that is wrong."""
        return bad_frequency(f"the {self.name} field is {shown(text)}: {why}; it may be {self.may_be}")


_STEPS = "*, a list 1,2, a range 1-5 or a step 0/5 or */5"
SECOND = Field(name="second", lowest=0, highest=59, names={}, may_be=f"0-59, {_STEPS}")
MINUTE = Field(name="minute", lowest=0, highest=59, names={}, may_be=f"0-59, {_STEPS}")
HOUR = Field(name="hour", lowest=0, highest=23, names={}, may_be=f"0-23, {_STEPS}")
DAY_OF_MONTH = Field(
    name="day-of-month", lowest=1, highest=31, names={}, may_be=f"1-31, {_STEPS}, ?, L, LW or 15W"
)
MONTH = Field(name="month", lowest=1, highest=12, names=_named(MONTHS), may_be=f"1-12, JAN-DEC, {_STEPS}")
DAY_OF_WEEK = Field(
    name="day-of-week",
    lowest=1,
    highest=7,
    names=_named(WEEKDAYS),
    may_be=f"1-7 (1 is Monday, 7 or 0 Sunday), MON-SUN, {_STEPS}, ?, L, 6L or 6#3",
)
YEAR = Field(
    name="year",
    lowest=FIRST_YEAR,
    highest=LAST_YEAR,
    names={},
    may_be=f"{FIRST_YEAR}-{LAST_YEAR}, *, a list, a range or a step 2026/2",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOfMonth:
    """The days that a day-of-month field names; any of them matches."""

    days: tuple[int, ...] = ()
    last: bool = False
    nearest: tuple[int, ...] = ()
    """`nW`: the weekday (Monday to Friday) nearest to day n in the same month; of a month that is shorter,
    nearest to its last day."""
    last_weekday: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOfWeek:
    """The days that a day-of-week field names, Monday as 1; any of them matches."""

    days: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    """`nL`: the last such day of the month."""
    nth: tuple[tuple[int, int], ...] = ()
    """`d#n`: the n-th such day of the month, where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """What a local time must be to match. Of the days: both None is any day; one decides alone; of two either
    suffices."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: DaysOfMonth | None
    months: tuple[int, ...]
    days_of_week: DaysOfWeek | None
    years: tuple[int, ...] | None
    """None: every year, up to `LAST_YEAR`."""

    @property
    def every_hour(self) -> bool:
        """Whether the hours are not restricted."""
        return len(self.hours) == 24


def parse_fields(parts: Sequence[str]) -> CronFields:
    """From six or seven words. `Refused(BAD_FREQUENCY)` names the field."""
    second, minute, hour, day_of_month, month, day_of_week, *year = parts
    return CronFields(
        seconds=_numbers(SECOND, second),
        minutes=_numbers(MINUTE, minute),
        hours=_numbers(HOUR, hour),
        days_of_month=_days_of_month(day_of_month),
        months=_numbers(MONTH, month),
        days_of_week=_days_of_week(day_of_week),
        years=_numbers(YEAR, year[0]) if year and year[0] not in ("*", "?") else None,
    )


def _days_of_month(text: str) -> DaysOfMonth | None:
    if text in ("*", "?"):
        return None
    days: set[int] = set()
    nearest: set[int] = set()
    items = _items(DAY_OF_MONTH, text)
    for item in items:
        if item in ("L", "LW"):
            continue
        if item.endswith("W"):
            nearest.add(_number(DAY_OF_MONTH, item[:-1], text))
        else:
            days.update(_span(DAY_OF_MONTH, item, text))
    return DaysOfMonth(
        days=tuple(sorted(days)),
        last="L" in items,
        nearest=tuple(sorted(nearest)),
        last_weekday="LW" in items,
    )


def _days_of_week(text: str) -> DaysOfWeek | None:
    if text in ("*", "?"):
        return None
    days: set[int] = set()
    last: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for item in _items(DAY_OF_WEEK, text):
        if item == "L":
            days.add(SUNDAY)
        elif item.endswith("L") and item not in DAY_OF_WEEK.names:
            last.add(_number(DAY_OF_WEEK, item[:-1], text) or SUNDAY)
        elif "#" in item:
            day, _, which = item.partition("#")
            if which not in ("1", "2", "3", "4", "5"):
                raise DAY_OF_WEEK.refused(text, f"{shown(item)} must end in #1 to #5")
            nth.add((_number(DAY_OF_WEEK, day, text) or SUNDAY, int(which)))
        else:
            days.update(_span(DAY_OF_WEEK, item, text))
    return DaysOfWeek(days=tuple(sorted(days)), last=tuple(sorted(last)), nth=tuple(sorted(nth)))


def _numbers(field: Field, text: str) -> tuple[int, ...]:
    return tuple(sorted({number for item in _items(field, text) for number in _span(field, item, text)}))


def _items(field: Field, text: str) -> list[str]:
    items = text.upper().split(",")
    if "" in items:
        raise field.refused(text, "a comma has nothing on one side")
    return items


def _span(field: Field, item: str, text: str) -> list[int]:
    """The numbers of `*`, `a`, `a-b`, and each with `/n`."""
    found = _STEPPED.fullmatch(item)
    if found is None:
        raise field.refused(text, f"{shown(item)} has a / too many or nothing before or behind it")
    span, step = found["span"], found["step"]
    if span == "*":
        first, last = field.lowest, field.highest
    elif "-" in span:
        first, last = _range(field, span, text)
    else:
        first = last = _number(field, span, text)
        if step is not None:
            last = field.highest
    numbers = range(first, last + 1, _step(field, step, text) if step is not None else 1)
    return [SUNDAY if field is DAY_OF_WEEK and number == 0 else number for number in numbers]


def _range(field: Field, span: str, text: str) -> tuple[int, int]:
    """A week may begin with its Sunday, and ends with it."""
    low, _, high = span.partition("-")
    first, last = _number(field, low, text), _number(field, high, text)
    if field is DAY_OF_WEEK:
        whole_week = (first, last) == (0, SUNDAY)
        first, last = first or SUNDAY, last or SUNDAY
        first = 0 if whole_week or first == SUNDAY != last else first
    if first > last:
        raise field.refused(text, f"{shown(span)} runs backwards, write two ranges with a comma between")
    return first, last


def _step(field: Field, text: str, whole: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= field.highest:
        raise field.refused(whole, f"the step {shown(text)} must be a number from 1 to {field.highest}")
    return int(text)


def _number(field: Field, text: str, whole: str) -> int:
    """One number or name; of days of the week, 0 too."""
    if text in field.names:
        return field.names[text]
    lowest = 0 if field is DAY_OF_WEEK else field.lowest
    if not _NUMBER.fullmatch(text):
        raise field.refused(whole, f"{shown(text)} is none of its values")
    if not lowest <= int(text) <= field.highest:
        raise field.refused(whole, f"{int(text)} is out of its range")
    return int(text)
