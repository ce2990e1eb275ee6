"""A server that takes writes but does not carry them out until it is told to: what a caller does while its
command is on the server, as a test needs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from cloudassist_tasks.store.link import Link
from tests.support.eventually import eventually_async
from tests.support.valkey import ValkeyServer

__all__ = ["Paused", "in_a_hurry", "paused"]


class Paused:
    """The server, from which nothing that writes gets an answer."""

    def __init__(self, server: ValkeyServer) -> None:
        self._client = server.client()

    def pause(self) -> None:
        """For longer than any test; reads go on."""
        self._client.client_pause(60_000, all=False)

    def go_on(self) -> None:
        """What has come meanwhile is carried out before anything that comes later. Idempotent."""
        self._client.client_unpause()

    async def has(self, connections: int) -> None:
        """Wait until so many connections have sent a command that waits there."""

        async def waits() -> bool:
            return int(self._client.info("clients")["blocked_clients"]) >= connections

        await eventually_async(waits, within=30)


@contextmanager
def paused(server: ValkeyServer) -> Iterator[Paused]:
    """Goes on at the end."""
    holding = Paused(server)
    holding.pause()
    try:
        yield holding
    finally:
        holding.go_on()


@contextmanager
def in_a_hurry(link: Link, within_s: float) -> Iterator[None]:
    """What the link sends meanwhile must be answered within so long; before and after, as ever."""
    as_ever_s, link._answer_within_s = link._answer_within_s, within_s
    try:
        yield
    finally:
        link._answer_within_s = as_ever_s
