"""The plane's processes: started as a user starts them, killed as an accident would, replaced when they die.

Every end that the storm brings about is noted on the process; one that ends without is a fault of the plane.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cloudassist_tasks import config
from cloudassist_tasks.cli.processes import Start, beat_command, worker_command

__all__ = ["Crew", "Job", "Member"]

ROOT = Path(__file__).parent.parent.parent
LOOKS_EVERY_S = 0.1
READY_WITHIN_S = 90


class Job(StrEnum):
    WORKER = "worker"
    BEAT = "beat"
    ENDPOINT = "endpoint"


READY = {Job.WORKER: b" ready.", Job.BEAT: b'"registered"', Job.ENDPOINT: b"listening on "}
"""What its log says once it works."""


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """One process, alive or dead."""

    job: Job
    number: int
    process: subprocess.Popen[bytes]
    log: Path
    ended_by: str = ""
    """What the storm did to it; empty: nothing."""
    started_ms: int = 0
    ended_ms: int = 0
    """When it was seen to have ended before it worked."""
    frozen: bool = False
    frozen_ms: list[tuple[int, int]] = field(default_factory=list)
    """From when to when it was."""
    ready: bool = False
    overstayed: bool = False
    """It did not end when all was over, and was killed."""

    @property
    def name(self) -> str:
        return f"{self.job}-{self.number}"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            self.process.send_signal(number)


class Crew:
    """So many of each job, as long as `keep` runs."""

    def __init__(self, directory: Path, port: int, wanted: dict[Job, int]) -> None:
        self.directory = directory
        self.port = port
        """The endpoint's."""
        self.wanted = wanted
        self.members: list[Member] = []
        self.away: dict[Job, float] = {}
        """Until when (loop time) nobody is started in the place of what died."""

    def alive(self, job: Job) -> Sequence[Member]:
        """Those whom nobody has told to end."""
        return [one for one in self.members if one.job is job and one.alive and not one.ended_by]

    def ready(self, job: Job) -> Sequence[Member]:
        """Those that work: begun, and not frozen."""
        return [one for one in self.alive(job) if one.ready and not one.frozen]

    def crashed(self) -> Sequence[Member]:
        """Those that worked, and ended without the storm."""
        return [one for one in self.members if one.ready and not one.alive and not one.ended_by]

    def not_started(self) -> Sequence[Member]:
        """Those that gave up before they worked, as an endpoint does that finds no store; `cloudassist up`
        starts them again, as we do."""
        return [one for one in self.members if not one.ready and not one.alive and not one.ended_by]

    def missing(self) -> Sequence[str]:
        """Of which job there are too few that work."""
        return [
            f"{job}: {len(self.ready(job))} of {wanted}"
            for job, wanted in self.wanted.items()
            if len(self.ready(job)) < wanted
        ]

    def hanging(self) -> Sequence[Member]:
        """Those that were to end and have not."""
        return [one for one in self.members if one.ended_by and one.alive]

    async def keep(self, over: asyncio.Event) -> None:
        """Replace whatever dies, until it is over."""
        starting: list[asyncio.Task[None]] = []
        while not over.is_set():
            for job, wanted in self.wanted.items():
                if asyncio.get_running_loop().time() < self.away.get(job, 0):
                    continue
                for _ in range(wanted - len(self.alive(job))):
                    starting.append(asyncio.create_task(self._await_ready(self._start(job))))
            await asyncio.sleep(LOOKS_EVERY_S)
        await asyncio.gather(*starting)

    async def await_complete(self, within_s: float) -> bool:
        """Whether everybody who is wanted works."""
        deadline = asyncio.get_running_loop().time() + within_s
        while self.missing():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(LOOKS_EVERY_S)
        return True

    def kill(self, one: Member) -> None:
        one.ended_by = one.ended_by or "kill -9"
        one.signal(signal.SIGKILL)
        one.process.wait()

    def drain(self, one: Member) -> None:
        one.ended_by = "SIGTERM"
        one.signal(signal.SIGTERM)

    def freeze(self, one: Member) -> None:
        one.frozen = True
        one.frozen_ms.append((_now_ms(), 0))
        one.signal(signal.SIGSTOP)

    def thaw(self, one: Member) -> None:
        one.signal(signal.SIGCONT)
        if one.frozen:
            one.frozen_ms[-1] = (one.frozen_ms[-1][0], _now_ms())
        one.frozen = False

    async def close(self) -> None:
        """End all in order."""
        for one in self.members:
            if one.alive:
                self.thaw(one)
                self.drain(one)
        for one in self.members:
            try:
                await asyncio.to_thread(one.process.wait, 30)
            except subprocess.TimeoutExpired:
                one.overstayed = True
                self.kill(one)

    def _start(self, job: Job) -> Member:
        number = len(self.members) + 1
        log = self.directory / f"{job}-{number}.log"
        start = self._command(job, f"{job}-{number}@chaos")
        with log.open("wb") as out:
            process = subprocess.Popen(
                start.argv, env=start.environ(), cwd=start.directory, stdout=out, stderr=out
            )
        member = Member(job=job, number=number, process=process, log=log, started_ms=_now_ms())
        self.members.append(member)
        return member

    def _command(self, job: Job, name: str) -> Start:
        settings = config.load()
        match job:
            case Job.WORKER:
                return worker_command(settings, name=name)
            case Job.BEAT:
                return beat_command(settings)
            case Job.ENDPOINT:
                serve = (sys.executable, "-m", "cloudassist_tasks.cli", "serve", "--port", str(self.port))
                return Start(argv=serve, environment={"PYTHONPATH": str(ROOT)}, directory=settings.data_dir)

    async def _await_ready(self, one: Member) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while one.alive and READY[one.job] not in await asyncio.to_thread(one.log.read_bytes):
            if asyncio.get_running_loop().time() > deadline and not one.frozen:
                return  # its log shows why; the calm asks for it again
            await asyncio.sleep(LOOKS_EVERY_S)
        one.ready = one.alive
        if not one.ready:
            one.ended_ms = _now_ms()


def _now_ms() -> int:
    return int(1_000 * time.time())
