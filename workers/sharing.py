"""A consumer for queues that other apps may share: what is not ours is put back, never dropped.

Other apps' `cloudassist.invoke` messages come by Celery's default queue unless the app routes them, so our
workers look there too; and there they may meet messages that are meant for the app's own workers.
"""

import logging
import random
from contextlib import suppress
from typing import Any

from celery.worker.consumer import Consumer
from kombu.exceptions import MessageStateError

__all__ = ["SharingConsumer"]

logger = logging.getLogger(__name__)

PUT_BACK_AFTER_S = (1.0, 3.0)
"""At least, at most. Redis gives a message to whoever has waited longest, and waits are renewed every second:
a pause by chance, and sooner or later that is a worker that the message is meant for."""


class SharingConsumer(Consumer):  # type: ignore[misc]  # celery ships no types
    """Celery's consumer drops a message whose task it does not know."""

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:
        task = (message.headers or {}).get("task")
        queue = (message.delivery_info or {}).get("routing_key")
        logger.debug("the task %s in the queue %s is not ours; it is put back", task, queue)
        self.timer.call_after(random.uniform(*PUT_BACK_AFTER_S), self._put_back, (message,))

    def _put_back(self, message: Any) -> None:
        """A broker that is away meanwhile delivers it again by itself."""
        with suppress(MessageStateError, *self.connection_errors):
            message.requeue()
