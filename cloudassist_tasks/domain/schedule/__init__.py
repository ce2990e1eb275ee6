"""When a periodic command runs: the grammar of Frequency, its bounds, and the arithmetic of its times."""

from cloudassist_tasks.domain.schedule.bounds import checked_schedule, fitting_timeout_s, least_period_s
from cloudassist_tasks.domain.schedule.expression import At, Cron, Rate, Schedule, needs_zone, parse_schedule

__all__ = [
    "At",
    "Cron",
    "Rate",
    "Schedule",
    "checked_schedule",
    "fitting_timeout_s",
    "least_period_s",
    "needs_zone",
    "parse_schedule",
]
