"""A wall clock that a test steps, for real processes: libfaketime, preloaded, reads how far to be off.

    clock = SteppedClock(directory)
    server.environment = clock.environment()   # or a beat's, a worker's
    clock.step(3_600)                          # an hour ahead, from the next look at the clock on

The monotonic clock goes on as it does when a real wall clock is stepped. Debian: libfaketime.
"""

import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["SteppedClock"]

LIBRARY = "libfaketimeMT.so.1"
PYTHON_TOO = Path(__file__).parent / "select_sleep"
PLACES = (Path("/usr/lib"), Path("/usr/local/lib"))


class SteppedClock:
    """How far the clocks of the processes that have its environment are off."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / f"clock-{uuid.uuid4().hex[:8]}"
        self._steps = 0
        self.step(0)

    def environment(self) -> dict[str, str]:
        """What a process is started with."""
        return {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # else a step is seen up to ten seconds later
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PYTHON_TOO), os.environ.get("PYTHONPATH")])),
        }

    def step(self, ahead_s: float) -> None:
        """From now on so many seconds ahead of this machine's clock; below 0: behind it."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+.3f}\n")
        self._steps += 1
        os.utime(fresh, (self._steps, self._steps))  # it is read again when its second has changed
        fresh.replace(self._file)

    def step_to(self, moment: datetime) -> None:
        """As if it were this moment now."""
        assert moment.tzinfo is UTC
        self.step(moment.timestamp() - time.time())


def _library() -> str:
    found = [path for place in PLACES for path in place.glob(f"**/faketime/{LIBRARY}")]
    if not found:
        raise RuntimeError(f"{LIBRARY} is not on this machine: `make tools` installs Debian's libfaketime")
    return str(found[0])
