"""kombu's Redis transport, but for two things: a channel keeps its client, and says so when it can have none.

kombu 5.7 builds a `Redis()` for every append, acknowledge and publish. With redis-py 8 that is 0.5 of the
1.7 ms of CPU that a message costs a worker (measured: `python -m bench --only pool`). A client without a
connection of its own is no more than its pool, so one for each pool will do. To go when kombu keeps it.

A channel that outlives its connection raises AttributeError, which no Celery worker survives: what comes of a
broker that is killed while messages are not acknowledged. It is a broken connection here, as any other.
"""

from typing import Any

from kombu import transport
from kombu.transport import redis

__all__ = ["Channel", "SentinelChannel", "SentinelTransport", "Transport", "install"]


class _Keeping:
    """A channel that builds a client when its pool is new. ConnectionError: its connection is closed."""

    connection: Any
    pool: Any
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection of this channel is closed")
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept


class Channel(_Keeping, redis.Channel):
    """To a server with an address of its own."""


class Transport(redis.Transport):
    """What `redis://` and `rediss://` stand for in our processes."""

    Channel = Channel


class SentinelChannel(_Keeping, redis.SentinelChannel):
    """To the primary of servers that Sentinels watch."""


class SentinelTransport(redis.SentinelTransport):
    """What `sentinel://` stands for in our processes."""

    Channel = SentinelChannel


def install() -> None:
    """Have this process's URLs mean this transport: the scheme decides, whatever `broker_transport` is."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    transport.TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"
