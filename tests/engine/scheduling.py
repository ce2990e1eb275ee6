"""What tests of schedules share: open one, let time pass, take what is published."""

from typing import Any

from cloudassist_tasks.contract.invocations import DescribeInvocations, InvocationItem, RunCommand
from cloudassist_tasks.contract.schedules import DescribeSchedules, ScheduleItem
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.engine.fire import fire_due
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.tasks.names import RUN
from tests.support.eventually import eventually_async
from tests.support.plane import Console

TEN_S = 10_000


async def opened(console: Console, script: str, *ids: str, **when: Any) -> InvokeId:
    """A schedule: each ten seconds, unless `when` says otherwise. From here on the test makes the time."""
    console.clock.stand_still()
    request = RunCommand(
        type="RunShellScript",
        command_content=script,
        enable_parameter=True,
        instance_id=ids or ("i-1",),
        **{"frequency": "rate(10s)", **when},
    )
    return InvokeId((await handle(console.plane, request, LOCAL)).invoke_id)


async def later(console: Console, worker: Worker, ms: int = TEN_S) -> list[RunKey]:
    """Time passes; the runs that are published then."""
    console.clock.ahead_ms += ms
    await fire_due(worker)
    return await published(console, worker)


async def published(console: Console, worker: Worker) -> list[RunKey]:
    """Once nothing is being published any more; taken off the queue."""
    await eventually_async(lambda: _idle(worker), within=60)
    keys = [message.key for message in console.home.messages() if message.task == RUN]
    console.home.lose_messages()
    return keys


async def _idle(worker: Worker) -> bool:
    return not [task for task in worker._tasks if task.get_coro().__name__ in ("_follow_up", "_look_at")]  # type: ignore[union-attr]


async def item(console: Console, invoke_id: str) -> InvocationItem:
    answer = await handle(console.plane, DescribeInvocations(invoke_id=invoke_id), LOCAL)
    return answer.invocations[0]


async def schedule(console: Console, invoke_id: str) -> ScheduleItem:
    return (await handle(console.plane, DescribeSchedules(invoke_id=invoke_id), LOCAL)).schedules[0]
