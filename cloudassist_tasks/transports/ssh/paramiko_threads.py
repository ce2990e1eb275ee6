"""Between paramiko's threads and the event loop.

Each connection has one thread, paramiko's, which reads and reports to the loop. Calls that may send, and so
may block, go to a few threads of this module.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import paramiko

__all__ = ["EngineTransport", "Signal", "in_thread", "later", "on_loop", "shut"]

T = TypeVar("T")
P = ParamSpec("P")

logging.getLogger("paramiko").setLevel(
    logging.CRITICAL
)  # it logs errors with tracebacks, and raises them too

THREADS = 64
"""For calls that may block: opening a channel, sending. A thousand held runs use none."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="paramiko-send")


class EngineTransport(paramiko.Transport):
    """paramiko's connection thread, told to us when it ends."""

    # Private in paramiko 5.1 (0.1 s there): how often each idle connection's thread wakes up to see that it
    # was closed. Ours are closed by shutting the socket, which wakes them; 1,000 idle connections took 36 %
    # of a core without this.
    _active_check_timeout = 10.0

    on_ended: Callable[[], None] | None = None
    stalled = False

    def run(self) -> None:
        try:
            super().run()
        finally:
            if self.on_ended is not None:
                self.on_ended()


class Signal(threading.Event):
    """An event whose setting, by paramiko's thread, calls a function on the loop."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._call = call
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        super().set()
        on_loop(self._loop, self._call)


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: call(*args, **kwargs))


def later(call: Callable[[], object]) -> None:
    """Send in a thread; a connection that is gone needs no goodbye."""

    def quietly() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            call()

    _threads.submit(quietly)


def on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed before its connections
        loop.call_soon_threadsafe(call)


def shut(transport: EngineTransport) -> None:
    """End a connection by its socket, which wakes its thread at once; the rest follows there."""

    def end() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            transport.sock.shutdown(socket.SHUT_RDWR)
        transport.close()

    _threads.submit(end)
