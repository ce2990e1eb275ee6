"""The tasks: thin, synchronous, the same under every pool. Each enters the async core and waits.

What a task needs of its process (the Worker that holds the claims) is given once, by `bind`.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from celery import Celery, Task

from cloudassist_tasks.domain.errors import RunFailed
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.power import PowerKey
from cloudassist_tasks.engine.collect import collect
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.power import carry_out
from cloudassist_tasks.engine.prepare import prepare
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.operations.broker import carry_out_message
from cloudassist_tasks.runtime import await_
from cloudassist_tasks.tasks import messages, names
from cloudassist_tasks.tasks.masked_request import MaskedRequest

T = TypeVar("T")

CurrentWorker = Callable[[], Awaitable[Worker]]


def bind(app: Celery, current_worker: CurrentWorker) -> None:
    """Add the tasks to the app. `current_worker` gives this process's Worker, on its event loop."""

    async def run(key: RunKey) -> None:
        await execute(await current_worker(), key)

    async def look(instance_id: InstanceId) -> None:
        await collect(await current_worker(), instance_id)

    async def make_ready(instance_id: InstanceId) -> None:
        plane = (await current_worker()).plane
        if (instance := await plane.store.instances.get(instance_id)) is not None:
            try:
                await prepare(plane, instance)
            except RunFailed as fault:  # stands in the instance's contact
                log("prepare_failed", logging.WARNING, instance_id=instance_id, info=fault.info)

    async def switch(key: PowerKey) -> None:
        await carry_out((await current_worker()).plane, key)

    @app.task(name=names.RUN)  # type: ignore[untyped-decorator]
    def run_task(**message: object) -> None:
        if (key := _named(messages.run_key, message)) is not None:
            await_(run(key))

    @app.task(name=names.COLLECT)  # type: ignore[untyped-decorator]
    def collect_task(**message: object) -> None:
        if (instance_id := _named(messages.instance_id, message)) is not None:
            await_(look(instance_id))

    @app.task(name=names.PREPARE)  # type: ignore[untyped-decorator]
    def prepare_task(**message: object) -> None:
        if (instance_id := _named(messages.instance_id, message)) is not None:
            await_(make_ready(instance_id))

    @app.task(name=names.POWER)  # type: ignore[untyped-decorator]
    def power_task(**message: object) -> None:
        if (key := _named(messages.power_key, message)) is not None:
            await_(switch(key))

    async def carry_out_asked(message: dict[str, object], message_id: str) -> None:
        await carry_out_message((await current_worker()).plane, message, message_id=message_id)

    @app.task(  # type: ignore[untyped-decorator]
        name=names.INVOKE,
        bind=True,
        acks_late=True,  # redelivered if this process dies; its id is the ClientToken
        Request=MaskedRequest,
    )
    def invoke_task(self: Task, **message: object) -> None:
        await_(carry_out_asked(message, str(self.request.id)))


def _named(read: Callable[[dict[str, object]], T], message: dict[str, object]) -> T | None:
    """What the message names; a message that is not ours is dropped with a line in the log."""
    try:
        return read(message)
    except ValueError as error:
        log("message_dropped", logging.ERROR, reason=str(error))
        return None
