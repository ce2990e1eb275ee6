"""Notice that the process's event loop no longer turns, and say which line holds it.

The asyncio pool's own: it ticks on the loop and is looked at from the main thread. Time limits and
revoke cannot break a blocking call on the loop thread, so it must be seen.
"""

import asyncio
import logging
import sys
import threading
import traceback
from time import monotonic

__all__ = ["LoopWatch"]

logger = logging.getLogger(__name__)

TICK_S = 0.5
STALLED_S = 2.0
"""A tick that is later than this is an error, with the stack while the loop still hangs."""


class LoopWatch:
    """Ticks from `begin` until the loop closes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self.loop = loop
        self.thread = thread
        self.max_lag_s = 0.0
        self._ticked = monotonic()
        self._stalled = False

    def begin(self) -> None:
        """Start to tick. Called from any thread."""
        self.loop.call_soon_threadsafe(self._tick, self.loop.time())

    def look(self) -> None:
        """Log a stall, once, while it lasts. Called every `TICK_S` on the main thread."""
        late_s = monotonic() - self._ticked - TICK_S
        if late_s > STALLED_S and not self._stalled:
            logger.error("The pool's loop has stalled for %.1f s; it is at:\n%s", late_s, self._stack())
        self._stalled = late_s > STALLED_S

    def _tick(self, due: float) -> None:
        self._ticked = monotonic()
        self.max_lag_s = max(self.max_lag_s, self.loop.time() - due)
        due = self.loop.time() + TICK_S
        self.loop.call_at(due, self._tick, due)

    def _stack(self) -> str:
        frame = sys._current_frames().get(self.thread.ident or 0)
        return "".join(traceback.format_stack(frame)[-8:]) if frame else "(the thread has ended)"
