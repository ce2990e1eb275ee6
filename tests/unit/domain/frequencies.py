"""Frequencies as tests write them, and their next times."""

from datetime import UTC, datetime

from cloudassist_tasks.domain.limits import CLASSIC, Limits
from cloudassist_tasks.domain.schedule import Schedule, checked_schedule


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


NOW_MS = milliseconds("2026-01-01T00:00:00")


def checked(expression: str, limits: Limits = CLASSIC, zone: str = "UTC") -> Schedule:
    return checked_schedule(expression, now_ms=NOW_MS, limits=limits, zone=zone)


def times(schedule: Schedule, after_ms: int, count: int = 5) -> list[str]:
    found: list[str] = []
    next_ms = schedule.next_after(after_ms)
    while next_ms is not None and len(found) < count:
        found.append(datetime.fromtimestamp(next_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        next_ms = schedule.next_after(next_ms)
    return found
