"""Schedules of a single time, seconds from now: where a machine stands still, it is asked for too late."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["opened_soon"]

T = TypeVar("T")


async def opened_soon(open_at: Callable[[str], Awaitable[T]]) -> T:
    """What `open_at` gives for the frequency of a time to come; of a later one if that was over by then."""
    for ahead_s in (2, 4, 8, 16, 32):
        soon = datetime.now(UTC) + timedelta(seconds=ahead_s)
        try:
            return await open_at(f"at({soon:%Y-%m-%d %H:%M:%S})")
        except Refused as refused:
            if refused.kind is not Kind.BAD_FREQUENCY:
                raise
    raise AssertionError("every time was over before it was asked for")
