"""A whole private installation for a test: a real store and broker, real hosts behind a real sshd.

Scripts made by `marking` append a line to a file of their own instance, so that a test counts what
happened on the hosts, not what the store says of it. `Console` is what a caller has in process;
`worker` and `beat` are processes, started as a user would and ended by their id.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloudassist_tasks import config, wiring
from cloudassist_tasks.config import Settings
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.command import checked_command
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.launch import LaunchRequest, launch
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.stop import stop
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.clock import Clock
from cloudassist_tasks.ports.invocations import Opened
from tests.support.celery_worker import CeleryWorker, celery_worker
from tests.support.eventually import eventually, eventually_async
from tests.support.processes import with_run_id
from tests.support.sshd import Sshd, private_sshd
from tests.support.valkey import ValkeyServer, private_valkey

__all__ = ["QUICK", "Console", "Installation", "SteeredClock", "private_installation"]

QUICK = {
    "CLOUDASSIST_HEARTBEAT_S": "0.3",
    "CLOUDASSIST_LEASE_S": "2",
    "CLOUDASSIST_RECONCILE_S": "0.4",
}
"""A death is noticed after two seconds in place of ten."""

RUN_QUEUE, EXPRESS_QUEUE = "cloudassist.run.default", "cloudassist.express.default"


class SteeredClock:
    """The store's clock, moved by the test."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stands_ms: int | None = None
        self.ahead_ms = 0

    def now_ms(self) -> int:
        if self._stands_ms is None:
            return self._clock.now_ms() + self.ahead_ms
        self._stands_ms += 1
        return self._stands_ms + self.ahead_ms

    def stand_still(self) -> None:
        """From here on only the test moves it, but for 1 ms with each look: no two moments are the same."""
        if self._stands_ms is None:
            self._stands_ms = self._clock.now_ms()


@dataclass(frozen=True, slots=True)
class Message:
    """A task message as it stands in the broker."""

    task: str
    id: str
    kwargs: dict[str, Any]

    @property
    def key(self) -> RunKey:
        return RunKey(
            InvokeId(self.kwargs["invoke_id"]), InstanceId(self.kwargs["instance_id"]), self.kwargs["round"]
        )


class Installation:
    """Servers, hosts and a data directory. The store is database 0, the broker 1."""

    def __init__(self, valkey: ValkeyServer, sshd: Sshd, directory: Path) -> None:
        self.valkey = valkey
        self.sshd = sshd
        self.directory = directory
        self.marks = directory / "marks"
        self.marks.mkdir()
        self.marks.chmod(0o777)

    # -- what a user sets

    def environment(self, **more: str) -> dict[str, str]:
        """The variables that select this installation; `more` wins."""
        return {
            "CLOUDASSIST_DATA_DIR": str(self.directory / "data"),
            "CLOUDASSIST_REDIS_URL": self.valkey.url(0),
            "CLOUDASSIST_BROKER_URL": self.valkey.broker_url(1),
            **QUICK,
            **more,
        }

    def settings(self, **more: str) -> Settings:
        return config.load(self.environment(**more))

    @contextmanager
    def full_store(self) -> Iterator[None]:
        """The server has no memory left, until the end of the block."""
        with self.valkey.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)

    # -- processes

    @contextmanager
    def worker(
        self, pool: str = "custom", *, concurrency: int = 200, within: Sequence[str] = (), **more: str
    ) -> Iterator[CeleryWorker]:
        """A worker process that consumes; `pool` as for `celery worker -P`; `within`: see `celery_worker`."""
        name = "asyncio" if pool == "custom" else pool
        environment = self.environment(CLOUDASSIST_POOL=name, **more)
        with celery_worker(
            "workers.app", pool=pool, concurrency=concurrency, environment=environment, within=within
        ) as worker:
            yield worker

    @contextmanager
    def beat(self, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A beat process that fires; `RuntimeError` if it ended at its start."""
        log = self.directory / f"beat-{len(list(self.directory.glob('beat-*')))}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "beat.app", "beat", "-l", "INFO"],
                env={**os.environ, **self.environment(**more)},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(lambda: b"registered" in log.read_bytes() or process.poll() is not None, within=120)
            if process.poll() is not None:
                raise RuntimeError(f"the beat ended with {process.returncode}")
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=120)
            print(f"--- beat ---\n{log.read_text(errors='replace')}")

    @asynccontextmanager
    async def console(
        self, instances: int = 3, /, *, emptied: bool = True, **more: str
    ) -> AsyncIterator["Console"]:
        """In process, over an emptied store and broker; so many instances, `i-1` …, are registered."""
        if emptied:
            client = self.valkey.client()
            client.flushall()
            client.close()
        settings = self.settings(**more)
        plane = await wiring.open_plane(settings, wiring.find_servers(settings))
        clock = SteeredClock(plane.clock)
        console = Console(self, replace(plane, clock=clock), clock)
        try:
            await console.register(instances)
            yield console
        finally:
            await console.close()

    # -- what happened on the hosts

    def marking(self, script: str = "") -> str:
        """A script that leaves a line in its instance's file, then does as `script` says."""
        return f"echo {{{{ACS::InvokeId}}}} >> {self.marks}/{{{{ACS::InstanceId}}}}\n{script}\n"

    def marked(self, invoke_id: str) -> Counter[str]:
        """How often the marking script of an invocation began, by instance."""
        return Counter(
            {
                file.name: count
                for file in self.marks.iterdir()
                if (count := file.read_text().split().count(invoke_id))
            }
        )

    def processes_of(self, invoke_id: str, *instances: str) -> list[int]:
        """Processes on the hosts that carry a run of the invocation."""
        return [pid for instance in instances for pid in with_run_id(f"{invoke_id}.{instance}.0")]

    # -- the broker

    def messages(self) -> list[Message]:
        """What waits in the queues, oldest first."""
        return self.messages_in(EXPRESS_QUEUE, RUN_QUEUE)

    def messages_in(self, *queues: str) -> list[Message]:
        """What waits in these, oldest first."""
        client = self.valkey.client(1)
        try:
            raw: list[Any] = []
            for queue in queues:
                raw += reversed(client.lrange(queue, 0, -1))
        finally:
            client.close()
        return [_message(text) for text in raw]

    def lose_messages(self) -> int:
        """Empty the broker; how many messages were lost."""
        lost = len(self.messages())
        client = self.valkey.client(1)
        client.flushdb()
        client.close()
        return lost


class Console:
    """A plane in the test's process, and the few words that tests share."""

    def __init__(self, home: Installation, plane: Plane, clock: SteeredClock) -> None:
        self.home = home
        self.plane = plane
        self.clock = clock
        self._closing = AsyncExitStack()

    async def close(self) -> None:
        await self._closing.aclose()
        await self.plane.close()

    async def register(self, instances: int, **fields: Any) -> None:
        """`i-1` … on addresses of their own."""
        made = [
            self.home.sshd.instance(f"i-{n}", f"127.0.{1 + n // 250}.{n % 250 + 1}", **fields)
            for n in range(1, instances + 1)
        ]
        if made:
            await self.plane.store.instances.add(made, replace=True)

    async def register_one(self, instance_id: str, host: str = "127.0.0.1", **fields: Any) -> None:
        instance = self.home.sshd.instance(instance_id, host, **fields)
        await self.plane.store.instances.add([instance], replace=True)

    async def worker(self, *, kind: str = "worker", **settings: float) -> Worker:
        """A registered Worker in this process; it leaves when the console closes."""
        plane = self.plane
        if settings:
            plane = replace(plane, settings=replace(plane.settings, **settings))  # type: ignore[arg-type]
        worker = Worker(plane, host="test", pid=os.getpid(), kind=kind)
        await worker.start()
        self._closing.push_async_callback(worker.leave, 5)
        return worker

    # -- what a caller does

    async def open(self, script: str | bytes, *ids: str, **fields: Any) -> Opened:
        """Launch on these instances (`i-1` if none are named)."""
        content = script if isinstance(script, bytes) else script.encode()
        command = checked_command(
            id=CommandId(self.plane.new_id("c-")),
            type=fields.pop("type", "RunShellScript"),
            content=content,
            name="test",
            kept=False,
            enable_parameter=fields.pop("enable_parameter", True),
        )
        request = LaunchRequest(
            command=command,
            instance_ids=[InstanceId(one) for one in ids or ("i-1",)],
            timeout_s=fields.pop("timeout_s", 60),
            max_instances=fields.pop("max_instances", 100_000),
        )
        return await launch(self.plane, replace(request, **fields))

    async def launch(self, script: str | bytes, *ids: str, **fields: Any) -> list[RunKey]:
        """As `open`; the runs' keys."""
        opened = await self.open(script, *ids, **fields)
        return [RunKey(opened.invoke_id, InstanceId(one)) for one in ids or ("i-1",)]

    async def send_file(self, content: str, directory: Path, *ids: str, **fields: Any) -> list[RunKey]:
        """Send `f` to these instances (`i-1` if none are named); the runs' keys."""
        wishes = {"name": "f", "target_dir": str(directory), "instance_id": ids or ("i-1",), **fields}
        request = SendFile(content=content, **wishes)
        answer = await handle(self.plane, request, LOCAL)
        return [RunKey(InvokeId(answer.invoke_id), InstanceId(one)) for one in request.instance_id]

    async def stop(self, invoke_id: InvokeId, *ids: str) -> None:
        await stop(self.plane, invoke_id, [InstanceId(one) for one in ids] if ids else None)

    # -- what a caller sees

    async def holder(self, key: RunKey) -> tuple[Run, int]:
        """The run as it is carried, and the process that carries it. Who stood still may have lost it."""
        found: list[tuple[Run, int]] = []

        async def is_held() -> bool:
            run, workers = await self.run(key), await self.plane.store.workers.all()
            found.extend((run, info.pid) for info in workers if info.id == run.worker)
            return bool(found)

        await eventually_async(is_held)
        return found[0]

    async def run(self, key: RunKey) -> Run:
        run = await self.plane.store.runs.get(key)
        assert run is not None
        return run

    async def output(self, key: RunKey) -> bytes:
        (output,) = await self.plane.store.runs.output([key])
        return output.head + output.tail

    async def invocation(self, invoke_id: InvokeId) -> Invocation:
        invocation = await self.plane.store.invocations.get(invoke_id)
        assert invocation is not None
        return invocation

    async def tally(self, invoke_id: InvokeId) -> dict[RunStatus, int]:
        """How many runs are in each state, as it is kept; states without a run are left out."""
        return {s: n for s, n in (await self.invocation(invoke_id)).tally.items() if n}

    async def fold(self, invoke_id: InvokeId) -> dict[RunStatus, int]:
        """The same, counted over the runs."""
        members = await self.plane.store.invocations.members(invoke_id, limit=1_000_000)
        invocation = await self.invocation(invoke_id)
        return dict(Counter(run.status for run in await self.plane.store.runs.of(invocation, members)))

    async def closed(self, invoke_id: InvokeId, within: float = 60) -> dict[RunStatus, int]:
        """Await the end of all runs; the tally, which equals the fold."""

        async def has_closed() -> bool:
            return bool((await self.invocation(invoke_id)).finish_ms)

        try:
            await eventually_async(has_closed, within=within)
        except AssertionError as error:
            error.add_note(f"open: {await self.fold(invoke_id)}")
            raise
        tally = await self.tally(invoke_id)
        assert await self.fold(invoke_id) == tally
        return tally

    async def reaches(self, key: RunKey, *statuses: RunStatus, within: float = 60) -> Run:
        """Await that the run is in one of the states."""

        async def is_there() -> bool:
            return (await self.run(key)).status in statuses

        try:
            await eventually_async(is_there, within=within)
        except AssertionError as error:
            error.add_note(repr(await self.run(key)))
            raise
        return await self.run(key)


@contextmanager
def private_installation(**sshd_options: str) -> Iterator[Installation]:
    """An installation of its own, gone at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="plane-", ignore_cleanup_errors=True) as name,
        private_valkey() as valkey,
        private_sshd(**{"MaxStartups": "1000:30:2000", **sshd_options}) as sshd,
    ):
        directory = Path(name)
        directory.chmod(0o711)
        yield Installation(valkey, sshd, directory)


def _message(text: str | bytes) -> Message:
    envelope = json.loads(text)
    headers = envelope["headers"]
    _, kwargs, _ = json.loads(base64.b64decode(envelope["body"]))
    return Message(headers["task"], headers["id"], kwargs)


def ids(count: int) -> Sequence[str]:
    """`i-1` to `i-<count>`."""
    return [f"i-{n}" for n in range(1, count + 1)]


def environment_without_cloudassist() -> Mapping[str, str]:
    """This process's environment with nothing of ours in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLOUDASSIST_")}
