"""What may be asked for: how often, for how long at most, and that it ever comes.

The least distance of a cron expression is exact by the clock on the wall (once a day or less often counts as
a day). Where the clock is put forward or
back two times may come closer, by as much as it is moved; runs that then meet are left out like any others.
"""

from itertools import pairwise

from cloudassist_tasks.domain.limits import DAY_S, Limits
from cloudassist_tasks.domain.schedule.expression import Cron, Rate, Schedule, parse_schedule
from cloudassist_tasks.domain.schedule.fields import CronFields
from cloudassist_tasks.domain.schedule.refusing import bad_frequency, shown
from cloudassist_tasks.domain.schedule.words import rate_words

SEEN_DAYS = 150
"""So many days that match are looked at for two in a row; that matters only where the last time of a day and
the first of the next are closer than any two within a day."""


def checked_schedule(
    expression: str, *, now_ms: int, limits: Limits, created_ms: int | None = None, zone: str = "UTC"
) -> Schedule:
    """Read it, and refuse what may not be asked for. `created_ms`: for what exists already, when it began.

    `Refused(BAD_FREQUENCY)`: the grammar, a period that is too short or too long, or no time to come."""
    schedule = parse_schedule(expression, created_ms=now_ms if created_ms is None else created_ms, zone=zone)
    _check_rate(schedule, limits)
    if schedule.next_after(now_ms) is None:
        raise bad_frequency(f"{shown(expression)} has no time to come ({schedule.describe()})")
    period_s = least_period_s(schedule, now_ms=now_ms)
    if period_s is not None and period_s < limits.period_min_s:
        raise bad_frequency(
            f"{shown(expression)} comes after {period_s} s; leave at least {limits.period_min_s} s between"
        )
    return schedule


def fitting_timeout_s(schedule: Schedule, timeout_s: int | None, *, now_ms: int, limits: Limits) -> int:
    """The timeout of its runs: what was asked for, raised to the least there is; left out, the default or
    the period, whichever is shorter. `Refused(BAD_FREQUENCY)` where it is longer than the period."""
    period_s = least_period_s(schedule, now_ms=now_ms)
    if timeout_s is None:
        return limits.timeout_default_s if period_s is None else min(limits.timeout_default_s, period_s)
    timeout_s = max(timeout_s, limits.timeout_min_s)
    if period_s is not None and timeout_s > period_s:
        raise bad_frequency(
            f"{shown(schedule.expression)} comes after {period_s} s, before a run of {timeout_s} s need have"
            f" ended; give a Timeout of at most {period_s}, or a longer period"
        )
    return timeout_s


def least_period_s(schedule: Schedule, *, now_ms: int) -> int | None:
    """The least distance of two of its times; None: it comes once."""
    if isinstance(schedule, Rate):
        return schedule.period_s
    return _least_distance_s(schedule, now_ms) if isinstance(schedule, Cron) else None


def _check_rate(schedule: Schedule, limits: Limits) -> None:
    if isinstance(schedule, Rate) and not limits.rate_min_s <= schedule.period_s <= limits.rate_max_s:
        raise bad_frequency(
            f"{shown(schedule.expression)} is {rate_words(schedule.period_s)}; a rate may be"
            f" {rate_words(limits.rate_min_s)} to {rate_words(limits.rate_max_s)}"
        )


def _least_distance_s(schedule: Cron, now_ms: int) -> int:
    within_s = _least_within_a_day_s(schedule.fields)
    overnight_s = DAY_S - _spread_s(schedule.fields)
    if overnight_s >= within_s:
        return within_s
    if not _has_days_in_a_row(schedule, now_ms):
        overnight_s += DAY_S
    return min(within_s, overnight_s)


def _least_within_a_day_s(fields: CronFields) -> int:
    """Of two neighbours that differ in the second, in the minute, in the hour; a day if there are none."""
    seconds, minutes, hours = fields.seconds, fields.minutes, fields.hours
    in_minute_s = seconds[-1] - seconds[0]
    in_hour_s = (minutes[-1] - minutes[0]) * 60 + in_minute_s
    distances = [after - before for before, after in pairwise(seconds)]
    distances += [(after - before) * 60 - in_minute_s for before, after in pairwise(minutes)]
    distances += [(after - before) * 3_600 - in_hour_s for before, after in pairwise(hours)]
    return min(distances, default=DAY_S)


def _spread_s(fields: CronFields) -> int:
    """From the first time of a day to its last."""
    return (
        (fields.hours[-1] - fields.hours[0]) * 3_600
        + (fields.minutes[-1] - fields.minutes[0]) * 60
        + (fields.seconds[-1] - fields.seconds[0])
    )


def _has_days_in_a_row(schedule: Cron, now_ms: int) -> bool:
    after = schedule.local_times.after
    wall_s = after(now_ms // 1_000 + schedule.place.offset_s(now_ms // 1_000))
    for _ in range(SEEN_DAYS):
        if wall_s is None:
            return False
        tomorrow_s = (wall_s // DAY_S + 1) * DAY_S
        wall_s = after(tomorrow_s - 1)
        if wall_s is not None and wall_s < tomorrow_s + DAY_S:
            return True
    return False
