"""Times as they travel."""

from datetime import UTC, datetime
from functools import lru_cache


def time_text(ms: int) -> str:
    """`yyyy-MM-ddTHH:mm:ssZ`; empty for a time that has not come."""
    return _second_text(ms // 1_000) if ms else ""


def exact_time_text(ms: int) -> str:
    """The same with milliseconds, in fields of ours."""
    return f"{time_text(ms)[:-1]}.{ms % 1_000:03}Z" if ms else ""


@lru_cache(maxsize=4_096)
def _second_text(second: int) -> str:
    """A page of results has hundreds of times, most of them of the same few seconds."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
