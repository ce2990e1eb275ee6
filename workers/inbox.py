"""Calls from the loop thread that the main thread makes.

The asyncio pool's own: nothing of Celery is thread-safe, so what a task has to report is posted here.
A pipe wakes the hub. Neither side takes a lock, for signal handlers post and drain too, wherever they
interrupt the main thread: the hub's own `call_soon` has one.
"""

import logging
import os
from collections import deque
from collections.abc import Callable

__all__ = ["Inbox"]

logger = logging.getLogger(__name__)


class Inbox:
    """In order of posting; a call that fails is logged and the next one made."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._announced = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Readable once something was posted."""
        return self._reader

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """On the loop thread, or in a signal handler: have the callback called on the main thread."""
        self._calls.append((callback, args))
        if not self._announced:
            self._announced = True
            try:
                os.write(self._writer, b"!")
            except BlockingIOError:
                pass  # full of earlier announcements

    def drain(self) -> None:
        """On the main thread: make all posted calls."""
        self._announced = False
        while self._calls:
            callback, args = self._calls.popleft()
            try:
                callback(*args)
            except Exception:
                logger.exception("A callback of the pool failed")

    def hear(self) -> None:
        """On the main thread, before `drain`, when `fileno` is readable."""
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            pass  # heard meanwhile
