"""A schedule in words, as people say it: `at 10:15 on the last day of each month, Asia/Shanghai`."""

from collections.abc import Sequence
from itertools import product

from cloudassist_tasks.domain.schedule.fields import MONTHS, WEEKDAYS, CronFields, DaysOfMonth, DaysOfWeek

SHOWN_TIMES = 6
"""So many times of a day are listed one by one."""

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_WHICH = ("first", "second", "third", "fourth", "fifth")


def rate_words(period_s: int) -> str:
    """`every 20 minutes`"""
    size_s, unit = next((size_s, unit) for size_s, unit in _UNITS if period_s % size_s == 0)
    return _every(period_s // size_s, unit)


def at_words(local: str, zone: str) -> str:
    """`once, at 2026-12-31 23:00:00, Asia/Shanghai`"""
    return f"once, at {local}, {zone}"


def cron_words(fields: CronFields, zone: str) -> str:
    """Times, days, months and years, as far as they are restricted; the zone where it makes a difference."""
    rhythm = _rhythm(fields)
    days, years = _days(fields), _years(fields.years)
    times = rhythm or _times(fields)
    if not days and not rhythm:
        days = "each day" if len(fields.hours) < 24 else ""
    phrase = " ".join(part for part in (times, days, years) if part)
    return phrase if fields.every_hour and not days and not years else f"{phrase}, {zone}"


def _rhythm(fields: CronFields) -> str:
    """`every 20 minutes`, where the times of an hour or a day are evenly spread; else empty."""
    if step := _even(fields.seconds, 60):
        every = _every(step, "second")
        if len(fields.minutes) < 60:
            return ""
    elif fields.seconds == (0,) and (step := _even(fields.minutes, 60)):
        every = _every(step, "minute")
    elif fields.seconds == fields.minutes == (0,) and (step := _even(fields.hours, 24)):
        return _every(step, "hour")
    else:
        return ""
    if fields.every_hour:
        return every
    first, last = fields.hours[0], fields.hours[-1]
    if last - first + 1 != len(fields.hours):
        return f"{every} in the hours {_and(_runs(fields.hours))}"
    end = _clock(last, fields.minutes[-1], fields.seconds[-1])
    return f"{every} from {_clock(first, 0, 0)} to {end}"


def _times(fields: CronFields) -> str:
    if len(fields.hours) * len(fields.minutes) * len(fields.seconds) <= SHOWN_TIMES:
        each = product(fields.hours, fields.minutes, fields.seconds)
        return f"at {_and([_clock(*time) for time in each])}"
    parts = []
    if fields.seconds != (0,):
        parts.append(_unit_words("second", fields.seconds, 60))
    parts.append(_unit_words("minute", fields.minutes, 60))
    parts.append(_unit_words("hour", fields.hours, 24))
    text = " of ".join(parts)
    return text if text.startswith("every") else f"at {text}"


def _unit_words(unit: str, numbers: Sequence[int], size: int) -> str:
    if len(numbers) == size:
        return f"every {unit}"
    return f"{unit}{'s' if len(numbers) > 1 else ''} {_and(_runs(numbers))}"


def _days(fields: CronFields) -> str:
    in_month = list(_days_of_month(fields.days_of_month))
    weekdays: list[str] = []
    if fields.days_of_week is not None:
        in_month += _days_of_month_by_week(fields.days_of_week)
        weekdays = _runs(fields.days_of_week.days, WEEKDAYS)
    months = "" if len(fields.months) == 12 else _and(_runs(fields.months, MONTHS))
    phrases = [f"on {_and(in_month)} of {months or 'each month'}"] if in_month else []
    if weekdays:
        phrases.append(f"on {_and(weekdays)}" + (f" in {months}" if months else ""))
    if not phrases and months:
        return f"each day in {months}"
    return " or ".join(phrases)


def _days_of_month(days: DaysOfMonth | None) -> list[str]:
    if days is None:
        return []
    words = [f"the {run}" for run in _runs(days.days, [_ordinal(day) for day in range(1, 32)])]
    words += [f"the weekday nearest to the {_ordinal(day)}" for day in days.nearest]
    words += ["the last day"] if days.last else []
    return words + (["the last weekday"] if days.last_weekday else [])


def _days_of_month_by_week(days: DaysOfWeek) -> list[str]:
    words = [f"the {_WHICH[which - 1]} {WEEKDAYS[day - 1]}" for day, which in days.nth]
    return words + [f"the last {WEEKDAYS[day - 1]}" for day in days.last]


def _years(years: tuple[int, ...] | None) -> str:
    if years is None:
        return ""
    step = years[1] - years[0] if len(years) > 1 else 1
    if step > 1 and len(years) > 3 and years == tuple(range(years[0], years[-1] + 1, step)):
        return f"every {step} years from {years[0]} to {years[-1]}"
    return f"in {_and(_runs(years))}"


def _every(number: int, unit: str) -> str:
    return f"every {unit}" if number == 1 else f"every {number} {unit}s"


def _even(numbers: Sequence[int], size: int) -> int:
    """The step that goes on evenly from 0 through the field and into the next; 0: there is none."""
    if len(numbers) < 2 or size % len(numbers):
        return 0
    step = size // len(numbers)
    return step if list(numbers) == list(range(0, size, step)) else 0


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _ordinal(number: int) -> str:
    ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _runs(numbers: Sequence[int], names: Sequence[str] | None = None) -> list[str]:
    """Three or more in a row become `first to last`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = []
    for run in runs:
        named = [str(number) if names is None else names[number - 1] for number in run]
        words += [f"{named[0]} to {named[-1]}"] if len(run) > 2 else named
    return words


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
