"""What a request says of when it repeats, checked: the same for whatever asks for it."""

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.invocation import Misfire
from cloudassist_tasks.domain.schedule import Schedule, checked_schedule, fitting_timeout_s, least_period_s
from cloudassist_tasks.domain.schedule.host_zones import OF_HOSTS
from cloudassist_tasks.engine.plane import Plane

_WHERE_IT_IS_LATEST = "GMT-12:00"
"""Whatever is still to come anywhere is to come there."""


def zone_wanted(plane: Plane, zone: str | None) -> str:
    """Of a cron expression that names none; `instance`: that of the instances, read at the opening."""
    return zone or plane.settings.schedule_zone


def schedule_of(plane: Plane, frequency: str, *, zone: str, created_ms: int | None = None) -> Schedule:
    """`Refused(BAD_FREQUENCY)`. In the zone of the instances only what does not depend on it is judged."""
    return checked_schedule(
        frequency,
        now_ms=plane.clock.now_ms(),
        created_ms=created_ms,
        zone=_WHERE_IT_IS_LATEST if zone == OF_HOSTS else zone,
        limits=plane.limits,
    )


def timeout_of(plane: Plane, schedule: Schedule, timeout_s: int | None, *, otherwise_s: int) -> int:
    """Of its runs: what was asked for; left out (None) `otherwise_s`, or the period if that is shorter.
    `Refused(BAD_FREQUENCY)` where it is longer than the period."""
    now_ms = plane.clock.now_ms()
    if timeout_s is None:
        timeout_s = min(otherwise_s, least_period_s(schedule, now_ms=now_ms) or otherwise_s)
    return fitting_timeout_s(schedule, timeout_s, now_ms=now_ms, limits=plane.limits)


def misfire_of(text: str | None) -> Misfire:
    """`Refused(BAD_VALUE)`."""
    if not text:
        return Misfire.SKIP
    try:
        return Misfire(text.lower())
    except ValueError:
        raise Refused(Kind.BAD_VALUE, f"Misfire {text[:40]!r} does not exist; it is skip or once") from None


def jitter_of(plane: Plane, schedule: Schedule | None, jitter_s: int | None) -> int:
    """Less than the shortest period: a round begins before the next one's time. `Refused(BAD_VALUE)`."""
    if not jitter_s:
        return 0
    period_s = least_period_s(schedule, now_ms=plane.clock.now_ms()) if schedule is not None else None
    if schedule is None or jitter_s < 0 or (period_s is not None and jitter_s >= period_s):
        most = "only with Frequency" if schedule is None else f"0 to {(period_s or 1) - 1} s"
        raise Refused(Kind.BAD_VALUE, f"Jitter is {jitter_s}; it may be {most}")
    return jitter_s
