"""The store's time, without asking it each time.

A sample is what the server answered to TIME, beside our monotonic clock; in between time goes by the
latter. So neither a worker's wrong clock nor a step of it matters. Samples are renewed in the background
when the clock is used. One whose answer was long on its way says little: this process may have been stopped
meanwhile. It is asked for again, and what was known is kept unless it is contradicted.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.store.link import Link

RENEW_AFTER_S = 10.0
"""How old a sample may be before another is fetched. Crystals differ by less than 1 ms in this time."""

MAY_HOLD_MS = 5_000
"""The clock never goes back by less than this: it stands instead. More is a step of the server's clock."""

PROMPT_S = 0.1
"""An answer that takes no longer is good: it is wrong by half of that at most."""

TRIES = 3
"""For a prompt answer; else the best counts."""

NO_STEP_MS = 5
"""What clocks may differ by, beyond the time that an answer took, before one of them was stepped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """The store's time, and ours before it was asked and when the answer was there."""

    store_ms: float
    asked_ms: float
    answered_ms: float

    @property
    def trip_ms(self) -> float:
        return self.answered_ms - self.asked_ms

    @property
    def ahead_ms(self) -> float:
        """How far the store's clock is ahead of ours, if the answer is from the middle of its round trip."""
        return self.store_ms - (self.asked_ms + self.answered_ms) / 2

    def contradicts(self, other: "_Sample") -> bool:
        """Whether both cannot be right, at whatever moments of their round trips the store looked."""
        apart_ms = abs(self.ahead_ms - other.ahead_ms)
        return apart_ms > (self.trip_ms + other.trip_ms) / 2 + NO_STEP_MS


class StoreClock:
    """`ports.clock.Clock`. Make it with `start`."""

    def __init__(self, link: Link, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._monotonic_s = monotonic_s
        self._renewed_s = 0.0
        self._sample: _Sample | None = None
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
        if now_s - self._renewed_s > RENEW_AFTER_S:
            self._renew_in_background()
        now_ms = int(1_000 * now_s + (self._sample.ahead_ms if self._sample else 0))
        if 0 < self._last_ms - now_ms < MAY_HOLD_MS:
            return self._last_ms
        self._last_ms = now_ms
        return now_ms

    async def renew(self) -> None:
        """Ask the store. `Broken` if it does not answer."""
        best, tries = await self._ask(), 1
        while best.trip_ms > 1_000 * PROMPT_S and tries < TRIES:
            tries += 1
            with suppress(Broken):  # the answer that we have counts
                best = min(best, await self._ask(), key=lambda sample: sample.trip_ms)
        self._renewed_s = self._monotonic_s()
        kept = self._sample
        good_ms = max(1_000 * PROMPT_S, kept.trip_ms if kept else 0)
        if kept is None or best.trip_ms <= good_ms or best.contradicts(kept):
            self._sample = best

    async def _ask(self) -> _Sample:
        asked_ms = 1_000 * self._monotonic_s()
        seconds, micros = await self._link.call("TIME")
        return _Sample(
            store_ms=int(seconds) * 1_000 + int(micros) / 1_000,
            asked_ms=asked_ms,
            answered_ms=1_000 * self._monotonic_s(),
        )

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
