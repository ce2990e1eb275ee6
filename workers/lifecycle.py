"""Tie a worker's process to Celery's life: open when ready, drain at a shutdown, release at the end."""

import asyncio
import os
import signal
from typing import Any

from celery import signals

from cloudassist_tasks import runtime
from cloudassist_tasks.config import Settings
from cloudassist_tasks.logs import configure
from cloudassist_tasks.tasks.process import Process
from cloudassist_tasks.wiring import Servers
from workers.drain import drain_started
from workers.pools import AsyncioPool

DRAIN_CHILD = signal.SIGRTMIN + 1
"""Tells a prefork child to let go of its runs: Celery has no signal for that."""

ROOM_EVERY_S = 1.0


def attach(process: Process, settings: Settings, servers: Servers) -> None:
    """Called once, when the app is made, before any fork."""
    owner = os.getpid()

    def set_up_logging(**_: Any) -> None:
        configure(settings.log_level)

    def ready(sender: Any, **_: Any) -> None:
        if settings.pool == "prefork":
            return  # its children carry the runs
        process.open_soon()
        if isinstance(sender.pool, AsyncioPool):
            making_room = _make_room_for_ever(process, sender.pool)
            asyncio.run_coroutine_threadsafe(making_room, runtime.process_loop().loop)

    def child_begins(**_: Any) -> None:
        signal.signal(DRAIN_CHILD, lambda *_: _drain_soon(process))
        process.open_soon()

    def child_ends(**_: Any) -> None:
        runtime.close()

    def drain(sender: Any, **_: Any) -> None:
        process.drain()
        if settings.pool == "prefork":
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


def _drain_soon(process: Process) -> None:
    runtime.process_loop().loop.call_soon_threadsafe(process.drain)


async def _make_room_for_ever(process: Process, pool: AsyncioPool) -> None:
    """While all slots are taken and work waits, let go of the runs that were carried longest."""
    while True:
        await asyncio.sleep(ROOM_EVERY_S)
        if waiting := pool.waiting():
            (await process.worker()).make_room(waiting)
