"""The Dispatch port over Celery: one thread of its own, since kombu blocks.

What blocks is `publishing.py`. It loads celery, 0.1 s of work that most commands do without, so it is made at
the first message, in the thread.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from cloudassist_tasks import awake
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.power import PowerKey
from cloudassist_tasks.tasks.messages import instance_message, power_message, run_message
from cloudassist_tasks.tasks.names import COLLECT, POWER, PREPARE, RUN, express_queue, queues, run_queue

__all__ = ["GIVE_UP_S", "CeleryDispatch", "Message", "Publisher"]

T = TypeVar("T")

GIVE_UP_S = 15
"""A call that takes longer is given up: no caller hangs on a broker."""
REVOKED_AT_ONCE = 1_000

Message = tuple[str, str | None, dict[str, object]]
"""The task, its id (None: any) and its arguments."""


class Publisher(Protocol):
    """What is called in the thread. `Broken` where the broker is away."""

    def send(self, messages: Sequence[Message], queue: str, *, masked: bool = False) -> None:
        """In order, pipelined. `masked`: what stands in them is another app's."""

    def revoke(self, ids: Sequence[str]) -> None: ...

    def count(self, queues: Sequence[str]) -> int:
        """How many messages wait in these."""

    def address(self) -> str:
        """Host and port, or the socket; never the password."""


class CeleryDispatch:
    """Made and used on the event loop."""

    def __init__(self, publisher: Callable[[], Publisher], region: str) -> None:
        """`publisher`: makes one, in the thread."""
        self._make = publisher
        self._making: asyncio.Future[Publisher] | None = None
        self._region = region
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dispatch")

    async def publish(self, keys: Sequence[RunKey], *, express: bool, again: bool = False) -> None:
        queue = (express_queue if express else run_queue)(self._region)
        mark = f"~{secrets.token_hex(4)}" if again else ""  # a revoked id is dropped for hours
        messages = [(RUN, key.run_id + mark, dict(run_message(key))) for key in keys]
        await self._in_thread(lambda broker: broker.send(messages, queue))

    async def publish_collect(self, instances: Sequence[InstanceId]) -> None:
        await self._publish_for(COLLECT, instances)

    async def publish_prepare(self, instances: Sequence[InstanceId]) -> None:
        await self._publish_for(PREPARE, instances)

    async def publish_power(self, keys: Sequence[PowerKey]) -> None:
        messages = [(POWER, key.power_id, dict(power_message(key))) for key in keys]
        await self._in_thread(lambda broker: broker.send(messages, express_queue(self._region)))

    async def _publish_for(self, task: str, instances: Sequence[InstanceId]) -> None:
        messages = [(task, None, dict(instance_message(instance_id))) for instance_id in instances]
        await self._in_thread(lambda broker: broker.send(messages, express_queue(self._region)))

    async def publish_callback(
        self, callback: Callback, callback_id: str, told: Mapping[str, object]
    ) -> None:
        messages = [(callback.task, callback_id, {**callback.kwargs, **told})]
        await self._in_thread(lambda broker: broker.send(messages, callback.queue, masked=True))

    async def revoke(self, keys: Sequence[RunKey]) -> None:
        for start in range(0, len(keys), REVOKED_AT_ONCE):
            ids = [key.run_id for key in keys[start : start + REVOKED_AT_ONCE]]
            await self._in_thread(lambda broker, ids=ids: broker.revoke(ids))  # type: ignore[misc]

    async def waiting(self) -> int:
        return await self._in_thread(lambda broker: broker.count(queues(self._region)))

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def _in_thread(self, call: Callable[[Publisher], T]) -> T:
        loop = asyncio.get_running_loop()
        if self._making is None:
            self._making = loop.run_in_executor(self._thread, self._make)
        broker = await asyncio.shield(self._making)
        try:
            async with awake.timeout(GIVE_UP_S):
                return await loop.run_in_executor(self._thread, call, broker)
        except TimeoutError as error:
            raise Broken(
                f"the broker at {broker.address()} has not answered within {GIVE_UP_S} s; start it"
            ) from error
