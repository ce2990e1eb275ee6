"""Send task events to Flower in parcels, a few times a second.

Celery flushes its buffer of task events at each turn of its loop: two to three publishes for a short run,
a fifth of what the worker's main thread does. Gathered for a quarter of a second they cost a tenth of that.
A consumer step, added by the worker's app: `app.steps["consumer"].add(GatherEvents)`; a full buffer is
still sent at once, by Celery.
"""

from typing import Any

from celery import bootsteps

__all__ = ["GATHER_S", "GatherEvents"]

GATHER_S = 0.25
"""How late an event may be sent."""


class GatherEvents(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Takes the place of `Consumer.on_send_event_buffered`, before the Events step reads it."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._due = False
        consumer.on_send_event_buffered = lambda: self._soon(consumer)

    def start(self, consumer: Any) -> None:
        """Called at each connect; timers of before are gone."""
        self._due = False

    def stop(self, consumer: Any) -> None:
        """Called before the connection ends."""
        if self._due:
            self._send(consumer)

    def _soon(self, consumer: Any) -> None:
        if not self._due and consumer.hub:
            self._due = True
            consumer.hub.call_later(GATHER_S, self._send, consumer)

    def _send(self, consumer: Any) -> None:
        self._due = False
        consumer._flush_events()
