"""Keep the embedded store alive while `cloudassist up` runs.

It ends where it cannot write to its disk, as `appendfsync always` wants it, and may be killed. Whatever keeps
it from starting (a full disk, most of the time) ends nothing else: it is said, and tried again.
"""

import time
from collections.abc import Callable
from pathlib import Path

from cloudassist_tasks.domain.errors import Broken

LOOK_S, LONGEST_PAUSE_S = 2.0, 8.0
"""How often to look whether it still runs. Twice as long after each time in a row that it did not: a start
reads all that it has written."""

FORGIVEN_AFTER_S = 60.0
"""One that has run for so long is looked at as often as at first."""


class StoreKeeping:
    """Looks after one store."""

    def __init__(self, revive: Callable[[], bool], log: Path, say: Callable[[str], None]) -> None:
        self._revive = revive
        self._log = log
        self._say = say
        self._pause_s = LOOK_S
        self._look_at = time.monotonic() + LOOK_S
        self._ended_at = time.monotonic()
        self._away = False

    def look(self) -> None:
        """Called every now and then; starts it again where it has ended."""
        if time.monotonic() < self._look_at:
            return
        try:
            if self._revive():
                self._seen_ended()
                self._say(
                    "the embedded store had ended and was started again; nothing acknowledged is lost"
                    f" (log: {self._log})"
                )
            elif self._away:
                self._say("the embedded store runs again")
            self._away = False
        except Broken as error:
            self._seen_ended()
            if not self._away:  # once, not at every look
                self._say(
                    f"{error}; put that right (make room, where the disk is full): it is tried again every"
                    f" few seconds, and all else stays up meanwhile (log: {self._log})"
                )
            self._away = True
        if time.monotonic() - self._ended_at > FORGIVEN_AFTER_S:
            self._pause_s = LOOK_S
        self._look_at = time.monotonic() + self._pause_s

    def _seen_ended(self) -> None:
        self._ended_at = time.monotonic()
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
