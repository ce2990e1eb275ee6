"""Callers who insist, while the store is killed again and again under them; then everything is counted.

A caller takes a new ClientToken for each invocation and repeats the call until it has an InvokeId: that is
what "acknowledged" means. Half of them call over HTTP, half in process. The store is killed -9 in the midst
of their calls and of the workers' runs, and started again on its append-only file.
"""

import asyncio
import random
from collections import Counter
from itertools import cycle

from cloudassist_tasks import wiring
from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.domain.status import RunStatus
from tests.processes.callers import Callers
from tests.support.endpoint import Endpoint
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation, ids

__all__ = ["INSTANCES", "under_kills"]

INSTANCES = 60
CALLERS_EACH = 2
ACKNOWLEDGED_BETWEEN = (2, 6)
"""So many calls are answered between two kills: each kill meets a plane at work."""


async def under_kills(console: Console, endpoint: Endpoint, kills: int, seed: int, *, within: float) -> None:
    """Call and kill; then every acknowledged invocation is there, ended, and ran once, and there is no other.

    `within`: how long the plane may take to end what is open, once the store is left alone.
    """
    home, chance = console.home, random.Random(seed)
    callers, calm = Callers(home), asyncio.Event()
    remote = AsyncClient(endpoint.url, (endpoint.key.id, endpoint.key.secret))
    beside = AsyncClient(sender=wiring.sender_of(console.plane))
    instance_ids = cycle(ids(INSTANCES))
    calling = [
        asyncio.create_task(callers.go_on(client, f"{name}{n}", "sleep 0.2; echo ok", instance_ids, calm))
        for name, client in (("http", remote), ("here", beside))
        for n in range(CALLERS_EACH)
    ]
    try:
        for _ in range(kills):
            await _some_are_told(callers, calling, chance)
            await asyncio.sleep(chance.uniform(0, 0.05))  # anywhere in their next calls
            await asyncio.to_thread(_crash, home)
        calm.set()
        await asyncio.gather(*calling)
        await _counted(console, callers, within)
        again = {token: await callers.call(remote, request) for token, request in callers.asked.items()}
        assert again == callers.told
    finally:
        for task in calling:
            task.cancel()
        await remote.close()
        print(f"{kills} kills, {len(callers.told)} acknowledged, {callers.attempts} calls, seed {seed}")


async def _some_are_told(
    callers: Callers, calling: list["asyncio.Task[None]"], chance: random.Random
) -> None:
    wanted = len(callers.told) + chance.randint(*ACKNOWLEDGED_BETWEEN)

    async def told() -> bool:
        for task in calling:
            if task.done():
                await task  # says why
        return len(callers.told) >= wanted

    await eventually_async(told, within=60, every=0.002)


def _crash(home: Installation) -> None:
    home.valkey.kill()
    home.valkey.start()


async def _counted(console: Console, callers: Callers, within: float) -> None:
    told = set(callers.told.values())
    assert len(told) == len(callers.told), "two tokens were told the same invocation"

    client = console.home.valkey.client()
    stored = {str(entry).partition(".")[2] for entry in client.zrange("ca:invocations:by_number", 0, -1)}
    client.close()
    assert told - stored == set(), f"{len(told - stored)} acknowledged, and lost"
    assert stored - told == set(), "opened, and nobody was told"

    async def all_closed() -> bool:
        return not await console.plane.store.invocations.open_rounds(limit=1, after=0)

    await eventually_async(all_closed, within=within, every=0.2)
    ended: Counter[RunStatus] = Counter()
    for invoke_id in told:
        ended.update(await console.closed(invoke_id))
    began = Counter(
        line for file in console.home.marks.iterdir() for line in file.read_text().split() if line in told
    )
    assert ended == {RunStatus.SUCCESS: len(told)}
    assert set(began) == told
    assert set(began.values()) == {1}
