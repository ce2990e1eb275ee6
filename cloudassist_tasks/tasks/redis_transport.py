"""kombu's Redis transport, but for one thing: a channel keeps its client.

kombu 5.7 builds a `Redis()` for every append, acknowledge and publish. With redis-py 8 that is 0.5 of the
1.7 ms of CPU that a message costs a worker (measured: `python -m bench --only pool`). A client without a
connection of its own is no more than its pool, so one for each pool will do. To go when kombu keeps it.
"""

from typing import Any

from kombu import transport
from kombu.transport import redis

__all__ = ["Channel", "Transport", "install"]


class Channel(redis.Channel):
    """A channel that builds a client when its pool is new."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


class Transport(redis.Transport):
    """What `redis://` and `rediss://` stand for in our processes."""

    Channel = Channel


def install() -> None:
    """Have this process's URLs mean this transport: the scheme decides, whatever `broker_transport` is."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
