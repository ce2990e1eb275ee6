"""Times as they travel."""

from datetime import UTC, datetime


def time_text(ms: int) -> str:
    """`yyyy-MM-ddTHH:mm:ssZ`; empty for a time that has not come."""
    return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ms else ""


def exact_time_text(ms: int) -> str:
    """The same with milliseconds, in fields of ours."""
    return f"{time_text(ms)[:-1]}.{ms % 1_000:03}Z" if ms else ""
