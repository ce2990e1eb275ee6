"""What a request says of when it repeats, checked: the same for whatever asks for it."""

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.invocation import Misfire
from cloudassist_tasks.domain.schedule import Schedule, checked_schedule, least_period_s
from cloudassist_tasks.engine.plane import Plane


def schedule_of(plane: Plane, frequency: str, *, zone: str | None, created_ms: int | None = None) -> Schedule:
    """`Refused(BAD_FREQUENCY)`."""
    return checked_schedule(
        frequency,
        now_ms=plane.clock.now_ms(),
        created_ms=created_ms,
        zone=zone or plane.settings.schedule_zone,
        limits=plane.limits,
    )


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
