"""Publish through Celery: the half of the dispatch that blocks, called in the dispatch's own thread.

Loads celery and kombu, so `dispatch.py` has it made at the first message. A batch goes through one pipeline
(`Producer.batch`). A flush that fails may have been carried out: it is said as `Broken`, and what became of
it is reconcile's business; publishing twice is harmless.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from celery import Celery
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as KombuOperationalError

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.tasks.dispatch import GIVE_UP_S, Message

__all__ = ["CeleryPublisher"]

T = TypeVar("T")

PIPELINE = 500
"""Operations that one pipeline holds at most."""


class CeleryPublisher:
    """`dispatch.Publisher`; the app's connections live in the thread that calls it."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, messages: Sequence[Message], queue: str, *, masked: bool = False) -> None:
        self._told(lambda: self._send(messages, queue, masked))

    def revoke(self, ids: Sequence[str]) -> None:
        self._told(lambda: self._app.control.revoke(ids))

    def count(self, queues: Sequence[str]) -> int:
        return self._told(lambda: self._count(queues))

    def address(self) -> str:
        parts = urlsplit(str(self._app.conf.broker_url))
        return parts.path if not parts.hostname else f"{parts.hostname}:{parts.port or ''}".rstrip(":")

    def _send(self, messages: Sequence[Message], queue: str, masked: bool) -> None:
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

    def _count(self, queues: Sequence[str]) -> int:
        with self._app.connection_for_write() as connection, connection.channel() as channel:
            return sum(
                channel.queue_declare(queue=queue, durable=True, auto_delete=False).message_count
                for queue in queues
            )

    def _told(self, call: Callable[[], T]) -> T:
        """What comes of it; a broker that is away is `Broken`."""
        try:
            return call()
        except (KombuError, KombuOperationalError, OSError) as error:
            raise self._away(error) from error
        except Exception as error:
            if isinstance(error, self._app.connection_for_write().recoverable_connection_errors):
                raise self._away(error) from error
            raise

    def _away(self, error: BaseException) -> Broken:
        return Broken(f"the broker at {self.address()} is away ({_reason(error)}); start it")


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
