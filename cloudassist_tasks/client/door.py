"""The client for programs that are not asynchronous: every method enters the async core through one door."""

import atexit
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.client.http import KeyGiven
from cloudassist_tasks.client.invocation import AsyncInvocation
from cloudassist_tasks.client.sender import Sender
from cloudassist_tasks.contract.events import Event
from cloudassist_tasks.contract.extensions import RunState
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.runtime import await_

P = ParamSpec("P")
T = TypeVar("T")


class _Door:
    """Stands in front of an object of the core."""

    _core: Any


def _through(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The method of the core, waited for."""

    @wraps(method)
    def call(self: _Door, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await_(method(self._core, *args, **kwargs))

    return call


def _to_invocation(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncInvocation]],
) -> Callable[Concatenate[Any, P], "Invocation"]:
    """The same, for one that gives an invocation."""

    @wraps(method)
    def call(self: _Door, /, *args: P.args, **kwargs: P.kwargs) -> "Invocation":
        return Invocation(await_(method(self._core, *args, **kwargs)))

    return call


class Invocation(_Door):
    """An invocation. Iterating over it gives each run with its output, soon after it has ended."""

    def __init__(self, core: AsyncInvocation) -> None:
        self._core: AsyncInvocation = core
        self.id = core.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    state = _through(AsyncInvocation.state)
    wait = _through(AsyncInvocation.wait)
    summary = _through(AsyncInvocation.summary)
    results = _through(AsyncInvocation.results)
    output = _through(AsyncInvocation.output)
    stop = _through(AsyncInvocation.stop)
    retry_failed = _to_invocation(AsyncInvocation.retry_failed)

    @property
    def status(self) -> str:
        """The fine state of the whole, now."""
        return await_(self._core.status)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many runs are in each fine state, now."""
        return await_(self._core.counts)

    def __iter__(self) -> Iterator[RunState]:
        ended = self._core.ended()
        try:
            while (run := await_(anext(ended, None))) is not None:
                yield run
        finally:
            await_(ended.aclose())


class Client(_Door):
    """Talks to an endpoint, or to the control plane of this installation inside this process: see
    `AsyncClient`.

    Waits in the calling thread, also in a Celery task of the asyncio pool. Any thread may use it.
    """

    def __init__(
        self,
        url: str | None = None,
        key: KeyGiven | None = None,
        *,
        ca_file: str | Path | None = None,
        sender: Sender | None = None,
    ) -> None:
        """As `AsyncClient`."""
        self._core = AsyncClient(url, key, ca_file=ca_file, sender=sender)
        atexit.register(self._at_exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, operation: Operation[R]) -> R:
        """The result of any operation. Raises `Refused` (nothing was done) or `Broken` (try again later)."""
        result: R = await_(self._core.send(operation))
        return result

    run = _to_invocation(AsyncClient.run)
    invoke = _to_invocation(AsyncClient.invoke)
    invocation = _to_invocation(AsyncClient.invocation)
    send_file = _to_invocation(AsyncClient.send_file)
    wait = _through(AsyncClient.wait)
    events_cursor = _through(AsyncClient.events_cursor)
    create_command = _through(AsyncClient.create_command)
    instances = _through(AsyncClient.instances)

    def events(self, after: str | None = None, *, invoke_id: str | None = None) -> Iterator[Event]:
        """As `AsyncClient.events`; ends when it is closed, or the loop over it left."""
        events = self._core.events(after, invoke_id=invoke_id)
        try:
            while True:
                yield await_(anext(events))
        finally:
            await_(events.aclose())

    def close(self) -> None:
        """End the connections. Invocations go on. The next call opens them again."""
        atexit.unregister(self._at_exit)
        await_(self._core.close())

    def _at_exit(self) -> None:
        """A program that ends without closing leaves nothing running."""
        try:
            self.close()
        except Exception:
            pass
