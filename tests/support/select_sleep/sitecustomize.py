"""For a Python process under libfaketime: sleep by select.

libfaketime 0.9.10 refuses (EINVAL) the sleeps until a moment of the monotonic clock that `time.sleep` makes
from Python 3.11 on. To go when it does not.
"""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep
