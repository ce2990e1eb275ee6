"""Addresses that behave badly, for real: nobody listens, nobody answers, nobody says a word."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.worker import Worker
from tests.support.eventually import eventually
from tests.support.plane import Console, Installation

__all__ = ["black_hole", "connecting", "refusing_port", "silent_port"]


@contextmanager
def refusing_port() -> Iterator[int]:
    """Where connections are refused: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port where the kernel drops whoever knocks: its queue of unaccepted connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@asynccontextmanager
async def connecting(
    home: Installation, port: int
) -> AsyncIterator[tuple[Console, Worker, RunKey, "asyncio.Task[None]"]]:
    """A worker that tries to reach the instance behind this port for a run, and the task that does so."""
    async with home.console() as console:
        worker = await console.worker()
        await console.register_one("i-x", port=port)
        (key,) = await console.launch("true", "i-x")
        going = asyncio.create_task(execute(worker, key))
        await asyncio.to_thread(eventually, lambda: key in worker.carried and worker.carried[key].wait)
        yield console, worker, key, going
