"""This process's Worker: opened on first use, on the process's event loop, and signed off at its end.

Under the asyncio and threads pools it is the process that Celery started; under prefork every child has
one of its own, since a claim belongs to a process. A beat has one too.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from cloudassist_tasks import runtime
from cloudassist_tasks.engine.deliver import deliver_for_ever
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.reconcile import WORKER, reconcile_for_ever
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.operations import registry

AGAIN_AFTER_S = 2.0


class Process:
    """Made once, before any fork; `kind` is `worker` or `beat`."""

    def __init__(self, kind: str, open_plane: Callable[[], Awaitable[Plane]]) -> None:
        self._kind = kind
        self._open_plane = open_plane
        self._opening: tuple[int, asyncio.Task[Worker]] | None = None

    async def worker(self) -> Worker:
        """On the process's loop. The first call opens it, others wait for that. `Broken` if the store is
        away; the next call tries again."""
        opening = self._of_this_process()
        if opening is None or (opening.done() and _failed(opening)):
            opening = asyncio.get_running_loop().create_task(self._open())
            self._opening = (os.getpid(), opening)
        return await asyncio.shield(opening)

    def open_soon(self) -> None:
        """Register without waiting for the first task, as soon as the store answers. From any thread."""
        asyncio.run_coroutine_threadsafe(self._keep_opening(), runtime.process_loop().loop)

    def drain(self) -> None:
        """Let go of everything that is carried. On the process's loop; returns at once."""
        opening = self._of_this_process()
        if opening is not None and opening.done() and not _failed(opening):
            opening.result().drain()

    def _of_this_process(self) -> asyncio.Task[Worker] | None:
        if self._opening is None or self._opening[0] != os.getpid():
            return None
        return self._opening[1]

    async def _open(self) -> Worker:
        plane = await self._open_plane()
        if self._kind == WORKER:
            registry.load()
            await plane.transport.load()
        worker = Worker(plane, host=socket.gethostname(), pid=os.getpid(), kind=self._kind)
        await worker.start()
        worker.spawn(reconcile_for_ever(worker))
        worker.spawn(deliver_for_ever(worker))

        async def leave() -> None:
            await worker.leave(within_s=runtime.CLOSE_GRACE_S / 2)
            await plane.close()

        runtime.at_close(leave)
        return worker

    async def _keep_opening(self) -> None:
        while True:
            try:
                worker = await self.worker()
            except Exception as error:
                log("not_registered", logging.WARNING, error=str(error), again_in_s=AGAIN_AFTER_S)
                await asyncio.sleep(AGAIN_AFTER_S)
            else:
                log("registered", worker=worker.id, kind=self._kind)
                return


def _failed(opening: asyncio.Task[Worker]) -> bool:
    return opening.cancelled() or opening.exception() is not None
