"""The Celery app that `bench.pool` runs in a worker: tasks that do nothing, at once or for a while."""

# mypy: disable-error-code="untyped-decorator"
# (celery ships no types)

import asyncio
import os

from celery import Celery

from cloudassist_tasks.runtime import await_
from cloudassist_tasks.tasks import redis_transport

redis_transport.install()  # as the product does
app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=os.environ.get("BENCH_EVENTS") == "1",
    broker_connection_retry_on_startup=True,
)


@app.task(name="bench.nothing")
def nothing() -> None:
    """The cost of a message."""


@app.task(name="bench.hold")
def hold(seconds: float) -> None:
    """The cost of a task that waits."""
    await_(asyncio.sleep(seconds))
