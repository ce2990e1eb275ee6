"""A worker that is not heard of is taken for dead by others, never by itself."""

import asyncio

import pytest

from cloudassist_tasks.engine.reconcile import reconcile
from tests.support.plane import Console


async def test_a_worker_that_wakes_up_does_not_bury_itself_and_another_one_does(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat is late, as after a sleep: its pass comes first."""
    workers = console.plane.store.workers
    monkeypatch.setattr(workers, "beat", lambda *_, **__: asyncio.Event().wait())
    sleeper = await console.worker(lease_s=600)
    name = sleeper.id  # it goes on under another once it was buried
    console.clock.ahead_ms += 700_000

    await reconcile(sleeper)
    assert name in [info.id for info in await workers.all()]

    await reconcile(await console.worker(lease_s=600))
    assert name not in [info.id for info in await workers.all()]
