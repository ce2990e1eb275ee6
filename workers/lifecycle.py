"""Tie a worker's process to Celery's life: open when ready, drain at a shutdown, release at the end."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from celery import signals
from celery.concurrency.prefork import TaskPool as PreforkPool

from cloudassist_tasks import runtime
from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.logs import configure
from cloudassist_tasks.tasks.process import Process
from cloudassist_tasks.wiring import Servers
from workers.drain import drain_started
from workers.pools import AsyncioPool

DRAIN_CHILD = signal.SIGRTMIN + 1
"""Tells a prefork child to let go of its runs: Celery has no signal for that."""

TOLD_BY_THE_ENGINE = ("celery.worker.strategy", "celery.app.trace")
"""At INFO they tell of each task that it came and succeeded: the engine's lines say more of the run."""

ROOM_EVERY_S = 1.0


def attach(process: Process, settings: Settings, servers: Servers) -> None:
    """Called once, when the app is made, before any fork."""
    owner = os.getpid()

    def set_up_logging(**_: Any) -> None:
        configure(settings.log_level)
        for name in TOLD_BY_THE_ENGINE:
            logging.getLogger(name).setLevel(logging.WARNING)

    def ready(sender: Any, **_: Any) -> None:
        if isinstance(sender.pool, PreforkPool):
            return  # its children carry the runs
        process.open_soon()
        if isinstance(sender.pool, AsyncioPool):
            _soon(_make_room_for_ever(process, sender.pool))
        else:
            _soon(_make_room_in_stock_pool(process, lambda: int(sender.pool.limit)))

    def child_begins(**_: Any) -> None:
        signal.signal(DRAIN_CHILD, lambda *_: _drain_soon(process))
        process.open_soon()
        _soon(_make_room_in_stock_pool(process, lambda: 1))

    def child_ends(**_: Any) -> None:
        runtime.close()

    def drain(sender: Any, **_: Any) -> None:
        process.drain()
        if isinstance(sender.pool, PreforkPool):
            for child in sender.pool._pool._pool:
                os.kill(child.pid, DRAIN_CHILD)

    def ended(**_: Any) -> None:
        if os.getpid() == owner:
            runtime.close()
            servers.release()

    signals.setup_logging.connect(set_up_logging, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_process_init.connect(child_begins, weak=False)
    signals.worker_process_shutdown.connect(child_ends, weak=False)
    signals.worker_shutdown.connect(ended, weak=False)
    drain_started.connect(drain, weak=False)


def _soon(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run_coroutine_threadsafe(work, runtime.process_loop().loop)


def _drain_soon(process: Process) -> None:
    runtime.process_loop().loop.call_soon_threadsafe(process.drain)


async def _make_room_for_ever(process: Process, pool: AsyncioPool) -> None:
    """While all slots are taken and work waits, let go of the runs that were carried longest."""
    while True:
        await asyncio.sleep(ROOM_EVERY_S)
        if waiting := pool.waiting():
            try:
                (await process.worker()).make_room(waiting)
            except Broken:
                pass  # the store is away: there is nobody yet who carries anything


async def _make_room_in_stock_pool(process: Process, slots: Callable[[], int]) -> None:
    """The same where waiting messages stay in the broker."""
    while True:
        await asyncio.sleep(ROOM_EVERY_S)
        try:
            worker = await process.worker()
            if len(worker.carried) >= slots() and (waiting := await worker.plane.dispatch.waiting()):
                worker.make_room(waiting)
        except Broken:
            pass  # asked again in a moment
