"""A process that has no turn, as one that is stopped or starved: nothing on its event loop runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

from cloudassist_tasks import awake

__all__ = ["falling_asleep"]


def falling_asleep(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *, for_s: float) -> list[str]:
    """The module's first attempt to reach a host hears nothing, since we fall asleep in it; who was tried."""
    monkeypatch.setattr(awake, "TICK_S", 0.1)
    monkeypatch.setattr(awake, "LATE_S", 0.1)
    reached, tried = module.reached, []

    def reaching(plane: Any, instance: Any, *args: Any, **named: Any) -> Any:
        tried.append(str(instance.id))
        return reached(plane, instance, *args, **named) if len(tried) > 1 else _asleep(for_s)

    monkeypatch.setattr(module, "reached", reaching)
    return tried


@asynccontextmanager
async def _asleep(for_s: float) -> AsyncIterator[None]:
    asyncio.get_running_loop().call_soon(time.sleep, for_s)
    await asyncio.Event().wait()
    yield
