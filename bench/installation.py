"""A private installation of the product for a benchmark: its own store, worker processes and client.

Everything is as a user has it: the embedded server with `appendfsync always`, the worker as a process of its
own by the command line that `cloudassist up` uses, the Python client in this process. The hosts are one
private sshd on many loopback addresses.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import redis

from cloudassist_tasks import config, wiring
from cloudassist_tasks.cli.processes import worker_command
from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.client.invocation import AsyncInvocation
from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.engine.plane import Plane
from tests.support.eventually import eventually_async
from tests.support.sshd import Sshd

__all__ = ["Installation", "WorkerProcess", "addresses", "installation", "instances_on"]

REGISTERED_WITHIN_S = 120
"""A process starts in a second or two on a quiet machine; one that does not start has ended long before."""

LOOK_EVERY_S = 0.05
"""How often a measured invocation is asked whether it is closed; its times are the store's, not ours."""


class WorkerProcess:
    """One worker, with its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """In order; by force if it does not go."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Installation:
    """What `installation` gives; on the event loop that made it."""

    def __init__(self, settings: Settings, plane: Plane, store_url: str) -> None:
        self.settings = settings
        self.store_url = store_url
        self.plane = plane
        self.client = AsyncClient(sender=wiring.sender_of(plane))
        self._workers: list[WorkerProcess] = []

    @property
    def store_pid(self) -> int:
        """The embedded server's process: store and broker."""
        return int((self.settings.data_dir / "store" / "valkey.pid").read_text())

    @asynccontextmanager
    async def worker(self, *, queues: str | None = None) -> AsyncIterator[WorkerProcess]:
        """A fresh worker process, ready for runs; ended in order. `queues`: those it takes from, else all."""
        worker = self._start_worker(queues)

        async def registered() -> bool:
            if worker.process.poll() is not None:
                raise RuntimeError(f"the worker has ended:\n{worker.log.read_text()[-4000:]}")
            known = await self.plane.store.workers.all()
            return any(one.pid == worker.pid for one in known)

        try:
            await eventually_async(registered, within=REGISTERED_WITHIN_S)
            yield worker
        finally:
            await asyncio.to_thread(worker.stop)

    def _start_worker(self, queues: str | None) -> WorkerProcess:
        number = len(self._workers)
        start = worker_command(self.settings, name=f"bench-{os.getpid()}-{number}@%h", queues=queues)
        log = self.settings.data_dir / f"worker-{number}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                start.argv, env=start.environ(), cwd=start.directory, stdout=out, stderr=subprocess.STDOUT
            )
        self._workers.append(WorkerProcess(process, log))
        return self._workers[-1]

    async def add(self, instances: Sequence[Instance]) -> None:
        """Register instances."""
        await self.plane.store.instances.add(instances)

    async def run(
        self,
        script: str,
        instances: Sequence[Instance],
        *,
        timeout_s: int = 60,
        termination_mode: str | None = None,
    ) -> AsyncInvocation:
        """Run a script, as a caller of the Python client would."""
        ids = [instance.id for instance in instances]
        return await self.client.run(
            script, instances=ids, timeout=timeout_s, termination_mode=termination_mode
        )

    async def closed(self, invocation: AsyncInvocation, *, within_s: float) -> None:
        """Return soon after the last run has ended."""

        async def look() -> bool:
            return (await invocation.state()).closed

        await eventually_async(look, within=within_s, every=LOOK_EVERY_S)

    async def store_commands(self) -> dict[str, int]:
        """How often each command was carried out by the store's server, the broker's included."""

        def ask() -> dict[str, int]:
            with redis.Redis.from_url(self.store_url) as client:
                stats = client.info("commandstats")
            return {name.removeprefix("cmdstat_"): int(said["calls"]) for name, said in stats.items()}

        return await asyncio.to_thread(ask)

    async def took_ms(self, invocation: AsyncInvocation, since_ms: int) -> int:
        """From `since_ms` (the store's clock) to the close."""
        found = await self.plane.store.invocations.get(_invoke_id(invocation))
        assert found is not None
        return found.finish_ms - since_ms


@asynccontextmanager
async def installation(**limits: int) -> AsyncIterator[Installation]:
    """An installation in a directory of its own, gone at the end; `limits` in place of the defaults."""
    with tempfile.TemporaryDirectory(prefix="ca-bench-") as directory:
        lines = ["[limits]", *(f"{name} = {value}" for name, value in limits.items())]
        (Path(directory) / "config.toml").write_text("\n".join(lines) + "\n")
        environ = {"CLOUDASSIST_DATA_DIR": directory, "HOME": directory}
        settings = config.load(environ)
        servers = await asyncio.to_thread(wiring.find_servers, settings)
        try:
            plane = await wiring.open_plane(settings, servers)
            try:
                yield Installation(settings, plane, servers.store_url)
            finally:
                await plane.close()
        finally:
            await asyncio.to_thread(servers.release)


def addresses(number: int) -> list[str]:
    """Loopback addresses, one for each instance: 127.1.0.1, …"""
    return [f"127.1.{position // 250}.{position % 250 + 1}" for position in range(number)]


def instances_on(sshd: Sshd, number: int) -> list[Instance]:
    """So many instances, each at an address of its own."""
    return [sshd.instance(f"i-{n}", host) for n, host in enumerate(addresses(number), start=1)]


def _invoke_id(invocation: AsyncInvocation) -> InvokeId:
    return InvokeId(invocation.id)
