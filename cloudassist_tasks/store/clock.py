"""The store's time, without asking it each time.

A sample is what the server answered to TIME, beside our monotonic clock; in between time goes by the
latter. So neither a worker's wrong clock nor a step of it matters. Samples are renewed in the background
when the clock is used.
"""

import asyncio
import time
from collections.abc import Callable

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.store.link import Link

RENEW_AFTER_S = 10.0
"""How old a sample may be before another is fetched. Crystals differ by less than 1 ms in this time."""

MAY_HOLD_MS = 5_000
"""The clock never goes back by less than this: it stands instead. More is a step of the server's clock."""


class StoreClock:
    """`ports.clock.Clock`. Make it with `start`."""

    def __init__(self, link: Link, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._monotonic_s = monotonic_s
        self._sampled_s = 0.0
        self._store_ms = 0.0
        self._last_ms = 0
        self._renewal: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, link: Link) -> "StoreClock":
        """With a first sample. `Broken` if the store does not answer."""
        clock = cls(link)
        await clock.renew()
        return clock

    def now_ms(self) -> int:
        now_s = self._monotonic_s()
        age_s = now_s - self._sampled_s
        if age_s > RENEW_AFTER_S:
            self._renew_in_background()
        now_ms = int(self._store_ms + age_s * 1_000)
        if 0 < self._last_ms - now_ms < MAY_HOLD_MS:
            return self._last_ms
        self._last_ms = now_ms
        return now_ms

    async def renew(self) -> None:
        """Take a sample: the answer is from the middle of its round trip."""
        asked_s = self._monotonic_s()
        seconds, micros = await self._link.call("TIME")
        answered_s = self._monotonic_s()
        self._store_ms = int(seconds) * 1_000 + int(micros) / 1_000
        self._sampled_s = (asked_s + answered_s) / 2

    async def close(self) -> None:
        """End a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    def _renew_in_background(self) -> None:
        if self._renewal is not None and not self._renewal.done():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # asked from another thread: somebody on the loop will renew it
            return
        self._renewal = loop.create_task(self._try_to_renew())

    async def _try_to_renew(self) -> None:
        try:
            await self.renew()
        except Broken:
            pass  # the old sample goes on; the next use tries again
