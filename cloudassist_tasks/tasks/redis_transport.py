"""kombu's Redis transport, but for three things: a channel keeps its client, says so when it can have none,
and loses nothing to a broker that is full.

kombu 5.7 builds a `Redis()` for every append, acknowledge and publish. With redis-py 8 that is 0.5 of the
1.7 ms of CPU that a message costs a worker (measured: `python -m bench --only pool`). A client without a
connection of its own is no more than its pool, so one for each pool will do. To go when kombu keeps it.

A channel that outlives its connection raises AttributeError, which no Celery worker survives: what comes of a
broker that is killed while messages are not acknowledged. It is a broken connection here, as any other.

What is taken from a queue is noted as not acknowledged in a second step, and a server whose memory is used up
refuses that: the message would be nowhere. It takes no more room there than it did in its queue, so it may.
"""

import json
import time
from typing import Any

from kombu import transport
from kombu.transport import redis

__all__ = ["Channel", "SentinelChannel", "SentinelTransport", "Transport", "install"]


NOTE = """#!lua flags=allow-oom
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
"""


class QoS(redis.QoS):
    """Notes what is taken also on a server that is full; in one call, where kombu makes four."""

    _note: Any = None

    def append(self, message: Any, delivery_tag: str) -> None:
        taken_from = message.delivery_info
        noted = json.dumps([message._raw, taken_from["exchange"], taken_from["routing_key"]])
        with self.channel.conn_or_acquire() as client:
            self._note = self._note or client.register_script(NOTE)
            keys = [self.unacked_index_key, self.unacked_key]
            self._note(keys=keys, args=[delivery_tag, time.time(), noted], client=client)
        beyond: Any = super(redis.QoS, self)
        beyond.append(message, delivery_tag)


class _Keeping:
    """A channel that builds a client when its pool is new. ConnectionError: its connection is closed."""

    QoS = QoS
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
