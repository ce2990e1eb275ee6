"""At most ten runs at once on an instance, fifty wait, more are refused one by one."""

import asyncio
from typing import Any

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.execute import execute
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.plane import Console, Installation


async def test_the_eleventh_waits_and_begins_when_one_ends(console: Console, home: Installation) -> None:
    worker = await console.worker()
    gate = home.directory / "eleven"
    keys = [(await console.launch(home.marking(until(f"{gate}.{n}"))))[0] for n in range(12)]
    going = [asyncio.create_task(execute(worker, key)) for key in keys[:10]]
    for key in keys[:10]:
        await console.reaches(key, RunStatus.RUNNING)
    for key in keys[10:]:
        await execute(worker, key)
        console.clock.ahead_ms += 1  # in one millisecond neither would be the first
    home.lose_messages()

    waiting = [await console.run(key) for key in keys[10:]]
    (gate.parent / f"{gate.name}.0").touch()
    await going[0]
    [message] = home.messages()
    eleventh = asyncio.create_task(execute(worker, message.key))
    await console.reaches(keys[10], RunStatus.RUNNING)

    assert [run.status for run in waiting] == [RunStatus.PENDING] * 2
    assert message.key == keys[10]
    assert (await console.run(keys[11])).status == RunStatus.PENDING
    for n in range(1, 12):
        (gate.parent / f"{gate.name}.{n}").touch()
    await asyncio.gather(*going, eleventh)
    await asyncio.to_thread(eventually, lambda: any(m.key == keys[11] for m in home.messages()))
    await execute(worker, keys[11])
    for key in keys:
        assert (await console.run(key)).status == RunStatus.SUCCESS
        assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_more_than_the_waiting_room_holds_are_aborted(home: Installation) -> None:
    limits: dict[str, Any] = {
        "CLOUDASSIST_LIMIT_INSTANCE_RUNS": "1",
        "CLOUDASSIST_LIMIT_INSTANCE_WAITING": "2",
    }
    async with home.console(**limits) as console:
        worker = await console.worker()
        keys = [(await console.launch("sleep 300"))[0] for _ in range(4)]
        going = asyncio.create_task(execute(worker, keys[0]))
        await console.reaches(keys[0], RunStatus.RUNNING)

        for key in keys[1:]:
            await execute(worker, key)

        refused = await console.run(keys[3])
        assert (refused.status, refused.error_code) == (RunStatus.ABORTED, ErrorCode.TASK_CONCURRENCY_LIMIT)
        assert await console.closed(keys[3].invoke_id) == {RunStatus.ABORTED: 1}
        for key in reversed(keys):
            await console.stop(key.invoke_id)
        await going
        assert [(await console.run(key)).status for key in keys[:3]] == [
            RunStatus.TERMINATED,
            RunStatus.CANCELLED,
            RunStatus.CANCELLED,
        ]


async def test_a_waiting_run_that_is_stopped_gives_its_place_to_the_next(home: Installation) -> None:
    async with home.console(CLOUDASSIST_LIMIT_INSTANCE_RUNS="1") as console:
        worker = await console.worker()
        first, second, third = [(await console.launch("sleep 300"))[0] for _ in range(3)]
        going = asyncio.create_task(execute(worker, first))
        await console.reaches(first, RunStatus.RUNNING)
        await execute(worker, second)
        await execute(worker, third)
        home.lose_messages()

        await console.stop(second.invoke_id)
        await console.stop(first.invoke_id)
        await going

        [message] = home.messages()
        assert message.key == third
        assert (await console.run(second)).status == RunStatus.CANCELLED
        await console.stop(third.invoke_id)
        assert (await console.run(third)).status == RunStatus.CANCELLED
