"""The arithmetic of cron: the next local time that the fields name. The only home of croniter.

croniter is given numbers, never what a caller typed, and local times without a zone: its own readings of
weekdays (0 is Sunday), of ranges, of several day rules together and of changes of the clock are not ours
(docs/adr/0009-croniter-for-arithmetic.md). Each rule for days is an expression of its own; the earliest wins.
"""

import copy
from collections.abc import Iterator, Sequence
from datetime import date

from croniter import CroniterBadDateError, croniter

from cloudassist_tasks.domain.schedule.fields import (
    FIRST_YEAR,
    LAST_YEAR,
    CronFields,
    DaysOfMonth,
    DaysOfWeek,
)

SEARCHED_YEARS = LAST_YEAR - FIRST_YEAR
"""How far croniter looks: an expression may name a single year, far away. In vain (a 30th of February) that
takes 10 ms, so it is done once."""

END_S = (date(LAST_YEAR + 1, 1, 1) - date(1970, 1, 1)).days * 86_400
"""The wall time from which on nothing comes."""


class LocalTimes:
    """The local times that the fields name. Holds no state that a question changes."""

    def __init__(self, fields: CronFields) -> None:
        searches = [croniter(line, 0.0, max_years_between_matches=SEARCHED_YEARS) for line in _lines(fields)]
        self._searches = [search for search in searches if _next(search, 0) is not None]

    def after(self, wall_s: int) -> int | None:
        """The first one after that, both as in zones.py; None: no more."""
        found = [_next(search, wall_s) for search in self._searches]
        return min((each for each in found if each is not None), default=None)


def _next(search: croniter, wall_s: int) -> int | None:
    if wall_s >= END_S:
        return None
    try:
        found = int(copy.copy(search).get_next(float, start_time=float(wall_s)))
    except CroniterBadDateError:
        return None
    return found if found < END_S else None


def _lines(fields: CronFields) -> Iterator[str]:
    """In croniter's order: minute, hour, day of month, month, day of week, second, year."""
    years = "*" if fields.years is None else _listed(fields.years)
    for day_of_month, day_of_week in _days(fields.days_of_month, fields.days_of_week):
        yield " ".join(
            (
                _listed(fields.minutes),
                _listed(fields.hours),
                day_of_month,
                _listed(fields.months),
                day_of_week,
                _listed(fields.seconds),
                years,
            )
        )


def _days(of_month: DaysOfMonth | None, of_week: DaysOfWeek | None) -> Iterator[tuple[str, str]]:
    if of_month is None and of_week is None:
        yield "*", "*"
    if of_month is not None:
        if of_month.days:
            yield _listed(of_month.days), "*"
        if of_month.last:
            yield "L", "*"
        if of_month.last_weekday:
            yield "31W", "*"
        yield from ((f"{day}W", "*") for day in of_month.nearest)
    if of_week is not None:
        if of_week.days:
            yield "*", _listed([day % 7 for day in of_week.days])
        yield from (("*", f"L{day % 7}") for day in of_week.last)
        yield from (("*", f"{day % 7}#{which}") for day, which in of_week.nth)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
