"""An upgrade under load: every process is replaced, one after the other, while commands run.

Each command leaves a line in its instance's file and then waits at a gate (a named pipe) until the upgrade is
over: so all of them run all the while, however long it takes, and waiting costs nothing. Beside them a caller
goes on opening short ones over HTTP.
"""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import cycle
from pathlib import Path
from typing import Generic, TypeVar

from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.domain.ids import InvokeId, WorkerId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.insist import insist
from tests.processes.callers import Callers
from tests.support.celery_worker import CeleryWorker
from tests.support.endpoint import Endpoint, served
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation, ids

__all__ = ["SETTINGS", "SPARE", "upgraded_under"]

WORKERS, BEATS = 2, 2
SPARE = 2
"""Instances on which only the caller's short commands run."""

SETTINGS = {
    "CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S": "600",
    "CLOUDASSIST_LIMIT_FOLLOW_MAX_S": "7200",
}
"""All hosts share this machine, so the last ones wait; and nothing is let go of but by the upgrade."""

T = TypeVar("T")


class Gate:
    """Where scripts wait: opening a pipe to read lasts until somebody opens it to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        path.chmod(0o666)

    @property
    def script(self) -> str:
        return f"read -r line < {self._path}; echo through"

    def open(self) -> None:
        """Let all through, those too that come later."""
        passed = self._path.with_suffix(".open")
        passed.write_text("go\n")
        writer = os.open(self._path, os.O_RDWR)  # wakes the readers, and waits for none
        passed.replace(self._path)
        os.close(writer)


class Running(Generic[T]):
    """A process of the installation, and the context that ends it."""

    def __init__(self, made: AbstractContextManager[T]) -> None:
        self._stack = ExitStack()
        self.it = self._stack.enter_context(made)

    def end(self) -> None:
        self._stack.close()


class Upgrade:
    """The processes, and their replacement one by one."""

    def __init__(self, console: Console, endpoint: Endpoint, settings: dict[str, str]) -> None:
        self.console = console
        self.home: Installation = console.home
        self.endpoint = endpoint
        self.settings = settings
        self.workers: list[Running[CeleryWorker]] = []
        self.beats: list[Running[subprocess.Popen[bytes]]] = []
        self.served: Running[Endpoint] | None = None

    def start(self) -> None:
        """What there is before the upgrade, but for the endpoint."""
        for _ in range(WORKERS):
            self.workers.append(self._worker())
        for _ in range(BEATS):
            self.beats.append(Running(self.home.beat(**self.settings)))

    def close(self) -> None:
        for running in (*self.workers, *self.beats, self.served):
            if running is not None:
                running.end()

    def replace_worker(self, number: int) -> None:
        old = self.workers[number]
        old.it.signal(signal.SIGTERM)
        assert old.it.ended(within=60) == 0, "a worker that drains ends in order"
        self.workers[number] = self._worker()
        old.end()

    def _worker(self) -> Running[CeleryWorker]:
        return Running(self.home.worker("custom", concurrency=4_000, **self.settings))

    def replace_beat(self, number: int) -> None:
        self.beats[number].end()
        self.beats[number] = Running(self.home.beat(**self.settings))

    def replace_endpoint(self) -> None:
        """At the same port, as a service manager does."""
        old = self.endpoint
        old.process.send_signal(signal.SIGTERM)
        old.process.wait(timeout=120)
        variables = self.home.environment(**self.settings)
        self.served = Running(served(variables, old.client, port=old.port))

    def restart_store(self) -> None:
        self.home.valkey.stop()
        self.home.valkey.start()


async def upgraded_under(
    console: Console,
    endpoint: Endpoint,
    *,
    instances: int,
    each: int,
    patience_s: float,
    **settings: str,
) -> None:
    """`each` commands run on each of so many instances while every process is replaced; all end well, once.

    `patience_s`: how long starting all, taking over all, or ending all may take here.
    """
    upgrade = Upgrade(console, endpoint, {**SETTINGS, **settings})
    callers, calm = Callers(console.home), asyncio.Event()
    gate = Gate(console.home.directory / "gate")
    client = AsyncClient(endpoint.url, (endpoint.key.id, endpoint.key.secret))
    try:
        await asyncio.to_thread(upgrade.start)
        opened = await _opened(console, gate, instances, each)
        await _all_running(console, opened, patience_s)
        spare = cycle(ids(instances + SPARE)[instances:])

        async def ended(invoke_id: InvokeId) -> None:
            await insist(lambda: console.closed(invoke_id, within=patience_s))

        short = callers.go_on(client, "meanwhile", "echo ok", spare, calm, between=ended)
        calling = asyncio.create_task(short)
        for number in range(WORKERS):
            await asyncio.to_thread(upgrade.replace_worker, number)
            await _all_followed(console, opened, patience_s)
        for number in range(BEATS):
            await asyncio.to_thread(upgrade.replace_beat, number)
        await asyncio.to_thread(upgrade.replace_endpoint)
        await asyncio.to_thread(upgrade.restart_store)
        await _all_followed(console, opened, patience_s)
        await _one_more_call(callers, calling)
        calm.set()
        await calling
        gate.open()
        await _ended_well(console, opened, instances, patience_s)
        await _ended_well(console, list(callers.told.values()), 1, patience_s)
        print(f"{instances * each} ran meanwhile, {len(callers.told)} calls, {callers.attempts} attempts")
    finally:
        gate.open()
        calm.set()
        await client.close()
        await asyncio.to_thread(upgrade.close)


async def _opened(console: Console, gate: Gate, instances: int, each: int) -> list[InvokeId]:
    script = console.home.marking(gate.script)
    opened = [await console.open(script, *ids(instances), timeout_s=7200) for _ in range(each)]
    return [one.invoke_id for one in opened]


async def _one_more_call(callers: Callers, calling: "asyncio.Task[None]") -> None:
    """The replaced endpoint and the store of before answer."""
    before = len(callers.told)

    async def told() -> bool:
        return len(callers.told) > before or calling.done()

    await eventually_async(told, within=60)


async def _all_running(console: Console, opened: Sequence[InvokeId], within: float) -> None:
    async def running() -> bool:
        return all([set(await console.tally(one)) == {RunStatus.RUNNING} for one in opened])

    await eventually_async(running, within=within, every=0.2)


async def _all_followed(console: Console, opened: Sequence[InvokeId], within: float) -> None:
    """By workers that live, or looked at now and then: a connection has room for few that are followed."""

    async def followed() -> bool:
        living: set[WorkerId | None] = {info.id for info in await console.plane.store.workers.all()}
        for invoke_id in opened:
            invocation = await console.invocation(invoke_id)
            members = await console.plane.store.invocations.members(invoke_id, limit=1_000_000)
            runs = await console.plane.store.runs.of(invocation, members)
            assert {run.status for run in runs} == {RunStatus.RUNNING}
            orphans = [run.key for run in runs if run.worker not in living]
            adrift = [await console.plane.store.runs.adrift(key.instance_id) for key in orphans]
            if any(key not in found for key, found in zip(orphans, adrift, strict=True)):
                return False
        return True

    await eventually_async(followed, within=within, every=0.5)


async def _ended_well(console: Console, opened: Sequence[InvokeId], runs: int, within: float) -> None:
    for invoke_id in opened:
        assert await console.closed(invoke_id, within=within) == {RunStatus.SUCCESS: runs}
        began: Counter[str] = console.home.marked(invoke_id)
        assert len(began) == runs
        assert set(began.values()) == {1}
