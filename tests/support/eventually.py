"""Wait for a condition instead of sleeping: the only way a test waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable


def eventually(condition: Callable[[], object], within: float = 5, every: float = 0.02) -> None:
    """Return once `condition()` is true; fail, naming its last value, after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s (last value: {value!r})")
        time.sleep(every)


async def eventually_async(
    condition: Callable[[], Awaitable[object]], within: float = 5, every: float = 0.02
) -> None:
    """As `eventually`, for a condition that is a coroutine function."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s (last value: {value!r})")
        await asyncio.sleep(every)
