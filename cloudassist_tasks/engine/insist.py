"""Calls that must not be given up because the store is away for a moment."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.logs import log

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat while the store is away. Only for calls that are safe to repeat, by somebody who has nothing
    better to do: the claim is held meanwhile, and lost to another if the store was only away for us."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await call()
        except Broken as error:
            log("store_away", logging.WARNING, error=str(error), again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
