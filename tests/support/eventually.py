"""Wait for a condition instead of sleeping: the only way a test waits.

A machine that stands still for seconds stops the test and what it waits for alike: a look counts as
`A_LOOK_S` at most, however long ago the one before was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

A_LOOK_S = 1.0


def eventually(condition: Callable[[], object], within: float = 20, every: float = 0.02) -> None:
    """Return once `condition()` is true; fail, naming its last value, after `within` seconds."""
    patience = _Patience(within)
    while not (value := condition()):
        patience.check(value)
        time.sleep(every)


async def eventually_async(
    condition: Callable[[], Awaitable[object]], within: float = 20, every: float = 0.02
) -> None:
    """As `eventually`, for a condition that is a coroutine function."""
    patience = _Patience(within)
    while not (value := await condition()):
        patience.check(value)
        await asyncio.sleep(every)


class _Patience:
    def __init__(self, within_s: float) -> None:
        self._within_s = self._left_s = within_s
        self._looked_s = time.monotonic()

    def check(self, value: object) -> None:
        """AssertionError once it is at its end."""
        if self._left_s <= 0:
            raise AssertionError(f"not true within {self._within_s} s (last value: {value!r})")
        now_s = time.monotonic()
        self._left_s -= min(now_s - self._looked_s, A_LOOK_S)
        self._looked_s = now_s
