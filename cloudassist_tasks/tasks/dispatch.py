"""The Dispatch port over Celery: one thread of its own, since kombu blocks.

A batch is published through one pipeline (`Producer.batch`). A flush that fails may have been carried out:
it is said as `Broken`, and what became of it is reconcile's business; publishing twice is harmless.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

from celery import Celery
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as KombuOperationalError

from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.power import PowerKey
from cloudassist_tasks.tasks.messages import instance_message, power_message, run_message
from cloudassist_tasks.tasks.names import COLLECT, POWER, PREPARE, RUN, express_queue, queues, run_queue

T = TypeVar("T")

PIPELINE = 500
"""Operations that one pipeline holds at most."""
GIVE_UP_S = 15
"""A call that takes longer is given up: no caller hangs on a broker."""
REVOKED_AT_ONCE = 1_000


class CeleryDispatch:
    """Publishes through `app`. Made and used on the event loop; the app's connections live in one thread."""

    def __init__(self, app: Celery, region: str) -> None:
        self._app = app
        self._region = region
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dispatch")

    async def publish(self, keys: Sequence[RunKey], *, express: bool, again: bool = False) -> None:
        queue = (express_queue if express else run_queue)(self._region)
        mark = f"~{secrets.token_hex(4)}" if again else ""  # a revoked id is dropped for hours
        messages = [(RUN, key.run_id + mark, dict(run_message(key))) for key in keys]
        await self._in_thread(lambda: self._send(messages, queue))

    async def publish_collect(self, instances: Sequence[InstanceId]) -> None:
        await self._publish_for(COLLECT, instances)

    async def publish_prepare(self, instances: Sequence[InstanceId]) -> None:
        await self._publish_for(PREPARE, instances)

    async def publish_power(self, keys: Sequence[PowerKey]) -> None:
        messages = [(POWER, key.power_id, dict(power_message(key))) for key in keys]
        await self._in_thread(lambda: self._send(messages, express_queue(self._region)))

    async def _publish_for(self, task: str, instances: Sequence[InstanceId]) -> None:
        messages = [(task, None, dict(instance_message(instance_id))) for instance_id in instances]
        await self._in_thread(lambda: self._send(messages, express_queue(self._region)))

    async def publish_callback(
        self, callback: Callback, callback_id: str, told: Mapping[str, object]
    ) -> None:
        messages = [(callback.task, callback_id, {**callback.kwargs, **told})]
        await self._in_thread(lambda: self._send(messages, callback.queue, masked=True))

    async def revoke(self, keys: Sequence[RunKey]) -> None:
        for start in range(0, len(keys), REVOKED_AT_ONCE):
            ids = [key.run_id for key in keys[start : start + REVOKED_AT_ONCE]]
            await self._in_thread(lambda ids=ids: self._app.control.revoke(ids))  # type: ignore[misc]

    async def waiting(self) -> int:
        return await self._in_thread(self._count)

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    # -- in the thread

    def _send(
        self,
        messages: Sequence[tuple[str, str | None, dict[str, object]]],
        queue: str,
        *,
        masked: bool = False,
    ) -> None:
        """`masked`: what stands in them is another app's."""
        with self._app.producer_pool.acquire(timeout=GIVE_UP_S) as producer, producer.batch(PIPELINE):
            for task, task_id, kwargs in messages:
                self._app.send_task(
                    task,
                    kwargs=kwargs,
                    # Celery's own way is slow: it must bear anything
                    kwargsrepr="***" if masked else repr(kwargs),
                    argsrepr="()",
                    task_id=task_id,
                    queue=queue,
                    producer=producer,
                    retry=False,
                )

    def _count(self) -> int:
        with self._app.connection_for_write() as connection, connection.channel() as channel:
            return sum(
                channel.queue_declare(queue=queue, durable=True, auto_delete=False).message_count
                for queue in queues(self._region)
            )

    # -- between the two

    async def _in_thread(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                return await loop.run_in_executor(self._thread, call)
        except (KombuError, KombuOperationalError, OSError, TimeoutError) as error:
            raise Broken(f"the broker at {self._address()} is away ({_reason(error)}); start it") from error
        except Exception as error:
            if isinstance(error, self._app.connection_for_write().recoverable_connection_errors):
                raise Broken(
                    f"the broker at {self._address()} is away ({_reason(error)}); start it"
                ) from error
            raise

    def _address(self) -> str:
        """Host and port, or the socket; never the password."""
        parts = urlsplit(str(self._app.conf.broker_url))
        return parts.path if not parts.hostname else f"{parts.hostname}:{parts.port or ''}".rstrip(":")


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
