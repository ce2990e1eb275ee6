"""Wake-ups over pub/sub: hints, each of which the store has too.

A subscription has a connection of its own and makes it anew when it is lost; what was told meanwhile is
not told again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from cloudassist_tasks.domain.ids import InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.notify import Move
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.address import pool_of
from cloudassist_tasks.store.link import ANSWER_WITHIN_S, CONNECT_WITHIN_S

T = TypeVar("T")

PING_AFTER_S = 15
"""A silent connection is asked whether it still lives after so long."""

PAUSE_S = 0.5
"""Between attempts to connect anew."""

MAX_SUBSCRIPTIONS = 10_000
"""Of one process, each on a connection: one of the worker, and one of each watcher. More than files can
be open: that limit speaks first."""


class PubSubNotify:
    """`ports.notify.Notify`."""

    def __init__(self, url: str) -> None:
        pool = pool_of(
            url,
            max_connections=MAX_SUBSCRIPTIONS,
            socket_connect_timeout=CONNECT_WITHIN_S,
            socket_timeout=ANSWER_WITHIN_S,
            health_check_interval=PING_AFTER_S,
            client_name="cloudassist-notify",
        )
        self._client = redis.asyncio.Redis.from_pool(pool)

    def stops(self, worker: WorkerId) -> AbstractAsyncContextManager[AsyncIterator[RunKey]]:
        return self._subscribed(f"{keys.STOPS}{worker}", RunKey.parse)

    def moves(self, invoke_id: InvokeId) -> AbstractAsyncContextManager[AsyncIterator[Move]]:
        return self._subscribed(keys.moves(invoke_id), _move)

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _subscribed(self, channel: str, parse: Callable[[str], T]) -> AsyncIterator[AsyncIterator[T]]:
        """Entering waits until the subscription stands; if the store is away it is made later instead."""
        subscription = _Subscription(self._client, channel)
        await subscription.try_to_open()
        try:
            yield (parse(text) async for text in subscription.texts())
        finally:
            await subscription.close()


class _Subscription:
    """To one channel, renewed until it is closed."""

    def __init__(self, client: "redis.asyncio.Redis", channel: str) -> None:
        self._client = client
        self._channel = channel
        self._pubsub: PubSub | None = None

    async def try_to_open(self) -> bool:
        pubsub = self._client.pubsub()
        try:
            await pubsub.subscribe(self._channel)
            await pubsub.get_message(timeout=ANSWER_WITHIN_S)  # the server's confirmation
        except (RedisError, OSError, TimeoutError):
            await _end(pubsub)
            return False
        self._pubsub = pubsub
        return True

    async def texts(self) -> AsyncIterator[str]:
        while True:
            if self._pubsub is None and not await self.try_to_open():
                await asyncio.sleep(PAUSE_S)
                continue
            assert self._pubsub is not None
            try:
                message: dict[str, Any] | None = await self._pubsub.get_message(timeout=PING_AFTER_S)
            except (RedisError, OSError, TimeoutError):
                await self.close()
                continue
            if message is not None and message["type"] == "message":
                yield message["data"].decode()

    async def close(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            await _end(pubsub)


async def _end(pubsub: PubSub) -> None:
    try:
        await pubsub.aclose()  # type: ignore[no-untyped-call]
    except (RedisError, OSError):
        pass  # it was broken already


def _move(text: str) -> Move:
    run_id, _, status = text.rpartition(" ")
    return Move(RunKey.parse(run_id), RunStatus(status))
