"""For other Celery apps on the broker: ask for an operation, and be called back when it is done.

    from cloudassist_tasks import RunCommand, enqueue

    enqueue(app, RunCommand(type="RunShellScript", command_content="uptime", instance_id=["i-1"]),
            callback={"task": "shop.done", "kwargs": {"order": 7}})

It is `app.send_task("cloudassist.invoke", …)` with the queue given, and with the arguments' texts masked:
Celery shows them to whoever looks at its events, and scripts stand in them. Imports no Celery.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.tasks.names import INVOKE


class SendsTasks(Protocol):
    """A Celery app."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any: ...


def enqueue(
    app: SendsTasks,
    operation: Operation[Any],
    *,
    callback: Mapping[str, object] | None = None,
    webhook: str | None = None,
    task_id: str | None = None,
    queue: str = INVOKE,
) -> str:
    """Put an operation on the broker; the message's id. Nobody answers: what comes of it, or why it was
    refused, is told to the callback.

    callback: `{"task": …, "queue": …, "kwargs": {…}}`; it is sent `summary` (or `error`) and its own kwargs.
    webhook: a URL that is told of the close. task_id: the same id again opens nothing new.
    """
    message: dict[str, object] = {"operation": operation.action(), "parameters": to_wire(operation)}
    if callback is not None:
        message["callback"] = dict(callback)
    if webhook is not None:
        message["webhook"] = webhook
    message_id = task_id or str(uuid.uuid4())
    app.send_task(
        INVOKE,
        kwargs=message,
        kwargsrepr=f"{{'operation': '{operation.action()}', …}}",
        argsrepr="()",
        task_id=message_id,
        queue=queue,
        ignore_result=True,
    )
    return message_id
