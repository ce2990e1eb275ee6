"""Carry out a cold shutdown between the main thread's steps, not inside the signal.

Celery waits for the pool in its signal handler. Under the asyncio pool the loop thread works on
meanwhile, and stops for ever at the first lock that the interrupted main thread holds (a log
handler's, seen with Celery 5.7.0 under load). So the handler is only noted, and the hub calls it.
"""

import os
import signal
from collections.abc import Callable
from typing import cast

from workers.pools import AsyncioPool

__all__ = ["defer_cold_shutdown"]

Handler = Callable[..., object]


def defer_cold_shutdown(pool: AsyncioPool) -> None:
    """Take over Celery's handlers of the signals that end the worker cold; once they are installed."""
    _defer(signal.SIGQUIT, pool)
    if os.environ.get("REMAP_SIGTERM") == "SIGQUIT":
        _defer(signal.SIGTERM, pool)
    begin_warm = cast(Handler, signal.getsignal(signal.SIGINT))

    def on_first_interrupt(*received: object) -> None:
        begin_warm(*received)  # it installs the cold handler for the next Ctrl-C
        _defer(signal.SIGINT, pool)

    signal.signal(signal.SIGINT, on_first_interrupt)


def _defer(number: signal.Signals, pool: AsyncioPool) -> None:
    """The first such signal waits for the hub, if it turns; a second is handled at once."""
    handler = cast(Handler, signal.getsignal(number))
    noted = False

    def on_signal(*received: object) -> None:
        nonlocal noted
        if noted or not pool.attended:
            handler(*received)
        else:
            noted = True
            pool.post(handler, *received)

    signal.signal(number, on_signal)
