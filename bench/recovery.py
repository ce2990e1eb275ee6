"""How long until what a dead process has left is gone on with, with the settings that are shipped.

A worker is killed -9 and another follows its runs; a message is taken from the broker and lost, with nothing
else in the queue and beside a queue that does not get empty; one of two beats is killed -9 while schedules
fire and a worker carries their runs out. Times are the store's own, from the death or the loss on.
"""

import asyncio
import random
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis

from bench.figures import summary
from bench.installation import Installation, WorkerProcess, installation, instances_on
from cloudassist_tasks.cli.processes import beat_command
from cloudassist_tasks.contract.invocations import RunCommand, StopInvocation
from cloudassist_tasks.domain.ids import InvokeId, RunKey
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.tasks.names import DEFAULT_REGION, express_queue
from tests.support.eventually import eventually_async
from tests.support.sshd import private_sshd

__all__ = ["measure"]

RUNS = 20
"""Each on an instance of its own; the worker that is killed has some of them."""
SCHEDULES = 50
"""Over the same instances in turn: each is done with a run long before the next."""
EVERY_S = 10
"""Schedules fire so often."""
PATIENCE_S = 180
THIEF = "thief"
TARGETS = {
    "a dead worker's runs are followed again": "15 s",
    "a lost message is published again": "60 s",
    "a round, with one of two beats dead": "no later than with both",
}


def measure(*, deaths: int = 10, losses: int = 5, busy_losses: int = 2, rounds: int = 4) -> dict[str, object]:
    """Seconds from each death or loss until somebody goes on; milliseconds of lateness of rounds."""
    return asyncio.run(_measure(deaths, losses, busy_losses, rounds))


async def _measure(deaths: int, losses: int, busy_losses: int, rounds: int) -> dict[str, object]:
    with private_sshd() as sshd:
        async with installation() as home:
            instances = instances_on(sshd, RUNS)
            await home.add(instances)
            kinds = {"a dead worker's runs are followed again": await _dead_workers(home, instances, deaths)}
            async with home.worker():
                kinds["a lost message is published again"] = await _lost_messages(home, instances[0], losses)
            if busy_losses:
                kinds["the same while others wait in the queue"] = await _lost_beside_others(
                    home, instances, busy_losses
                )
            async with home.worker():
                late = await _dead_beat(home, instances, rounds)
    return {
        "name": "recovery",
        "tables": [
            {"title": "seconds until somebody goes on", "kinds": kinds},
            {"title": f"how late {SCHEDULES} schedules fire, ms", "kinds": late},
        ],
        "target": TARGETS,
    }


# -- workers


async def _dead_workers(home: Installation, instances: Sequence[Instance], deaths: int) -> dict[str, float]:
    samples = []
    async with home.worker():
        for _ in range(deaths):
            samples += await _one_dead_worker(home, instances)
    return summary([{"s": one} for one in samples], tail=True)


async def _one_dead_worker(home: Installation, instances: Sequence[Instance]) -> list[float]:
    """Both workers have some of the runs; for each of the killed one's, how long until it is followed."""
    async with home.worker() as doomed:
        invocation = await home.run("exec sleep 600\n", instances, timeout_s=900, termination_mode="Process")
        keys = [RunKey(InvokeId(invocation.id), one.id) for one in instances]
        await _until(lambda: _all_running(home, keys))
        # at any point between two heartbeats and two passes of the survivor
        await asyncio.sleep(random.uniform(0, home.settings.reconcile_s))
        held = {run.key: run for run in await _runs(home, keys) if _holds(doomed, run)}
        if not held:
            raise RuntimeError("the worker that is to die has no run: try again")
        since_ms = home.plane.clock.now_ms()
        doomed.process.kill()
        doomed.process.wait()
        seen = await _followed_again(home, held, since_ms)
    await home.client.send(StopInvocation(invoke_id=invocation.id))
    await home.closed(invocation, within_s=PATIENCE_S)
    return seen


async def _followed_again(home: Installation, held: dict[RunKey, Run], since_ms: int) -> list[float]:
    """Counted by claims: a look at a run that goes on takes its worker a few milliseconds."""
    seen: dict[RunKey, float] = {}

    async def all_seen() -> bool:
        for run in await _runs(home, list(held)):
            if run.key not in seen and run.deliveries > held[run.key].deliveries:
                seen[run.key] = (home.plane.clock.now_ms() - since_ms) / 1_000
        return len(seen) == len(held)

    await _until(all_seen)
    return list(seen.values())


def _holds(worker: WorkerProcess, run: Run) -> bool:
    return run.worker is not None and f"-{worker.pid}-" in run.worker


async def _runs(home: Installation, keys: Sequence[RunKey]) -> Sequence[Run]:
    return await home.plane.store.runs.get_many(keys[0].invoke_id, [key.instance_id for key in keys])


async def _all_running(home: Installation, keys: Sequence[RunKey]) -> bool:
    return {run.status for run in await _runs(home, keys)} == {RunStatus.RUNNING}


# -- messages


async def _lost_messages(home: Installation, instance: Instance, losses: int) -> dict[str, float]:
    """One after the other."""
    return summary([{"s": await _one_lost_message(home, instance)} for _ in range(losses)])


async def _one_lost_message(home: Installation, instance: Instance) -> float:
    """A thief waits at the queue for longer than the worker does, is given the message, and keeps it."""
    url = home.store_url.replace("db=0", "db=1")
    with redis.Redis.from_url(url, client_name=THIEF) as thief, redis.Redis.from_url(url) as watcher:
        taking = asyncio.create_task(
            asyncio.to_thread(thief.brpop, [express_queue(DEFAULT_REGION)], PATIENCE_S)
        )
        await _until(lambda: asyncio.to_thread(_is_first_in_line, watcher))
        invocation = await home.run("true\n", [instance])
        since_ms = home.plane.clock.now_ms()
        await asyncio.wait_for(taking, PATIENCE_S)
    await home.closed(invocation, within_s=PATIENCE_S)
    run = await home.plane.store.runs.get(RunKey(InvokeId(invocation.id), instance.id))
    assert run is not None
    return (run.launch_ms - since_ms) / 1_000


def _is_first_in_line(watcher: "redis.Redis") -> bool:
    """A worker asks anew each second, so it stands behind whoever has waited for two."""
    clients: Any = watcher.client_list()
    return any(one["name"] == THIEF and one["cmd"] == "brpop" and int(one["idle"]) >= 2 for one in clients)


async def _lost_beside_others(
    home: Installation, instances: Sequence[Instance], losses: int
) -> dict[str, float]:
    """The only worker takes from the express lane alone, and messages wait in the other queue."""
    async with home.worker(queues=express_queue(DEFAULT_REGION)):
        waiting = await home.run("true\n", instances[1:])
        figures = await _lost_messages(home, instances[0], losses)
    async with home.worker():
        await home.closed(waiting, within_s=PATIENCE_S)
    return figures


# -- beats


async def _dead_beat(
    home: Installation, instances: Sequence[Instance], rounds: int
) -> dict[str, dict[str, float]]:
    """Two beats; then one, from the moment of the other's death on."""
    async with _beat(home), _beat(home) as doomed:
        ids = [await _schedule(home, instances[n % len(instances)]) for n in range(SCHEDULES)]
        await _fired(home, ids, rounds)
        doomed.kill()
        doomed.wait()
        killed_ms = home.plane.clock.now_ms()
        await _fired(home, ids, 2 * rounds + 1)
        before: list[Invocation] = []
        after: list[Invocation] = []
        missed = 0
        for invoke_id in ids:
            for one in await home.plane.store.schedules.rounds(invoke_id, limit=1_000):
                (before if _at_ms(one) < killed_ms else after).append(one)
            invocation = await home.plane.store.invocations.get(invoke_id)
            assert invocation is not None
            assert invocation.repetition is not None
            missed += invocation.repetition.missed
            await home.client.send(StopInvocation(invoke_id=invoke_id))
    return {
        "two beats": _lateness(before),
        "from the death of one on": _lateness(after) | {"missed": missed},
    }


def _lateness(rounds: Sequence[Invocation]) -> dict[str, float]:
    """`empty`: rounds that had nothing to run, since the run of the one before had not ended yet."""
    late = summary([{"late_ms": float(one.opened_ms - _at_ms(one))} for one in rounds], tail=True)
    return late | {"empty": sum(one.total == 0 for one in rounds)}


def _at_ms(one: Invocation) -> int:
    """The time that the round is for."""
    assert one.firing is not None
    return one.firing.at_ms


async def _schedule(home: Installation, instance: Instance) -> InvokeId:
    request = RunCommand(
        type="RunShellScript",
        command_content="true\n",
        instance_id=[instance.id],
        frequency=f"rate({EVERY_S}s)",
        timeout=EVERY_S,
    )
    return InvokeId((await home.client.send(request)).invoke_id)


async def _fired(home: Installation, ids: Sequence[InvokeId], rounds: int) -> None:
    """Wait until each has had so many rounds. Looked at rarely: the store is what is measured."""

    async def all_have() -> bool:
        return (
            min(await asyncio.gather(*(home.plane.store.schedules.round_count(one) for one in ids))) >= rounds
        )

    await eventually_async(all_have, within=PATIENCE_S, every=1)


@asynccontextmanager
async def _beat(home: Installation) -> AsyncIterator["subprocess.Popen[bytes]"]:
    process = _start_beat(home)

    async def registered() -> bool:
        return any(one.pid == process.pid for one in await home.plane.store.workers.all())

    try:
        await eventually_async(registered, within=60)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _start_beat(home: Installation) -> "subprocess.Popen[bytes]":
    start = beat_command(home.settings)
    with (home.settings.data_dir / f"beat-{uuid.uuid4()}.log").open("wb") as out:
        return subprocess.Popen(
            start.argv, env=start.environ(), cwd=start.directory, stdout=out, stderr=subprocess.STDOUT
        )


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    await eventually_async(condition, within=PATIENCE_S, every=0.05)
