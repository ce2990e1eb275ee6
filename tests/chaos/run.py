"""One whole run: build a plane and its hosts, keep it busy, let the storm blow, wait for the calm, judge."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

from cloudassist_tasks import config, logs, wiring
from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.contract.keys import CreateAccessKey
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from tests.chaos import records, ticks
from tests.chaos.crew import Crew, Job
from tests.chaos.ends import Ends
from tests.chaos.evidence import gathered, left_over
from tests.chaos.faults import Fault, FaultKind, drawn
from tests.chaos.hosts import Hosts, hosts
from tests.chaos.ledger import Kind, Ledger
from tests.chaos.load import Caller, Load
from tests.chaos.own_words import gave_up, recorded_late, told_in_logs, when_slow
from tests.chaos.plan import Plan
from tests.chaos.receiving import Told
from tests.chaos.recipes import RECIPES, script_of
from tests.chaos.report import Report
from tests.chaos.storm import Storm
from tests.chaos.verdict import SLOW_FOR_MS, Offence, Verdict, Wrong
from tests.chaos.watch import Watch
from tests.support.valkey import ValkeyServer, private_valkey

__all__ = ["carried_out"]

PORT = 8080
CALLERS = 6
SEEN_GONE_WITHIN_S = 90
"""sshd needs 45 s to give up a session whose client is gone."""
TOLD_WITHIN_S = 60
COMPLETE_WITHIN_S = 120
BY_ITSELF = (RunStatus.SUCCESS, RunStatus.FAILED)
"""Runs that ended so have a whole output."""
INNOCENTS = 5
"""Processes that nothing has to do with: they must outlive the storm."""


async def carried_out(plan: Plan, results: Path) -> Report:
    """The report of it; logs of offenders go to `results`."""
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name,
        private_valkey(on_disk=True) as valkey,
    ):
        directory = Path(name)
        os.chmod(directory, 0o711)
        valkey.stop()
        valkey.options["appendfsync"] = "always"  # as the embedded store has it
        valkey.start()
        os.environ.update(_environment(plan, valkey, directory))
        with hosts(
            directory, loopback=plan.loopback, machines=plan.machines, namespaces=plan.namespaces
        ) as made:
            return await _Run(plan, valkey, made, directory, results).carry_out()


def _environment(plan: Plan, valkey: ValkeyServer, directory: Path) -> dict[str, str]:
    return {
        "CLOUDASSIST_DATA_DIR": str(directory / "data"),
        "CLOUDASSIST_REDIS_URL": valkey.url(0),
        "CLOUDASSIST_BROKER_URL": valkey.broker_url(1),
        "CLOUDASSIST_HEARTBEAT_S": "1",
        "CLOUDASSIST_LEASE_S": "5",
        "CLOUDASSIST_RECONCILE_S": "1.5",
        "CLOUDASSIST_BOOT_LOOK_S": "3",
        "CLOUDASSIST_WEBHOOK_RETRY_S": "0.5",
        "CLOUDASSIST_WEBHOOK_LONGEST_PAUSE_S": "2",
        "CLOUDASSIST_LIMIT_GRACE_S": str(plan.grace_s),
        "CLOUDASSIST_LIMIT_INVOCATIONS_PER_DAY": "1000000",
    }


class _Run:
    def __init__(
        self, plan: Plan, valkey: ValkeyServer, hosts: Hosts, directory: Path, results: Path
    ) -> None:
        self.plan = plan
        self.valkey = valkey
        self.hosts = hosts
        self.directory = directory
        self.results = results
        self.marks, self.files = directory / "marks", directory / "files"
        self.logs = directory / "logs"
        for made in (self.marks, self.files, self.logs, directory / "data"):
            made.mkdir()
        self.ledger = Ledger()
        self.told = Told(valkey, self.ledger)
        self.crew = Crew(self.logs, PORT, {Job.WORKER: plan.workers, Job.BEAT: plan.beats, Job.ENDPOINT: 1})
        self.notes: list[str] = []
        self.offences: list[Offence] = []
        """Seen on the way; the rest is judged at the end."""
        self.calm_s = 0.0

    async def carry_out(self) -> Report:
        began = time.time()
        innocents = _innocents()
        self.told.begin()
        try:
            with self.told.receiver.up():
                async with AsyncExitStack() as stack:
                    offences, storm, watch, read = await self._through_the_storm(stack)
            offences += [
                Offence(Wrong.CRASHED, "an innocent process", "was ended")
                for one in innocents
                if one.poll() is not None
            ]
            offences += [
                Offence(Wrong.CRASHED, one.name, "does not end after SIGTERM", one.log.read_text()[-600:])
                for one in self.crew.members
                if one.overstayed
            ]
            offences += told_in_logs(self.crew, storm.store_down)
        finally:
            self.told.end()
            for one in innocents:
                one.kill()
                one.wait()
        report = Report(
            plan=self.plan,
            took_s=time.time() - began,
            calm_s=self.calm_s,
            ledger=self.ledger,
            records=read,
            storm=storm,
            told=self.told,
            watch=watch,
            crew=self.crew,
            offences=offences,
            notes=self.notes,
        )
        self.notes.append(f"saved in {report.save(self.results)}")
        return report

    async def _through_the_storm(
        self, stack: AsyncExitStack
    ) -> tuple[list[Offence], Storm, Watch, records.Records]:
        plane = await stack.enter_async_context(_plane())
        await plane.store.instances.add(self.hosts.instances(), replace=True)
        over = asyncio.Event()
        keeping = asyncio.create_task(self.crew.keep(over))
        try:
            if not await self.crew.await_complete(COMPLETE_WITHIN_S):
                raise RuntimeError(f"the plane does not come up; see {self._tails()}")
            self._say("the plane is up")
            watch = Watch(plane=plane, crew=self.crew, valkey=self.valkey)
            storm = Storm(
                plane=plane,
                crew=self.crew,
                hosts=self.hosts,
                valkey=self.valkey,
                told=self.told,
                seed=self.plan.seed,
                open_runs=lambda: watch.open_runs,
            )
            load = await self._load(stack)
            looking = asyncio.create_task(watch.look_until(over))
            callers = [Caller(load, number) for number in range(CALLERS)]
            calling = [asyncio.create_task(caller.call_until_over()) for caller in callers]
            pacing = asyncio.create_task(self._pace(load, watch, over))
            await storm.blow(self._faults(), at_most_s=self.plan.slower * self.plan.storm_s)
            offences = await self._calm(load, callers, calling, storm, watch)
            read = await records.read(plane)
            over.set()
            await asyncio.gather(looking, pacing)
            offences += await self._judged(plane, read, storm, watch)
            return offences, storm, watch, read
        finally:
            over.set()
            await keeping
            await self.crew.close()

    def _faults(self) -> Sequence[Fault]:
        plan = self.plan
        return drawn(plan.seed, storm_s=plan.storm_s, rate=plan.rate, namespaces=plan.namespaces)

    async def _load(self, stack: AsyncExitStack) -> Load:
        """The callers' doors: in this process, and over HTTP."""
        inside = await stack.enter_async_context(AsyncClient())
        key = await inside.send(CreateAccessKey(role="admin"))
        over_http = await stack.enter_async_context(AsyncClient(f"http://127.0.0.1:{PORT}", key))
        settings = config.load()
        app = wiring.celery_app(settings, wiring.find_servers(settings))
        commands = {
            recipe.name: await inside.create_command(
                recipe.name, script_of(recipe, self.marks), enable_parameter=False
            )
            for recipe in RECIPES.values()
        }
        return Load(
            seed=self.plan.seed,
            ledger=self.ledger,
            doors={"in process": inside.send, "HTTP": over_http.send},
            app=app,
            loopback=self.hosts.loopback,
            machines=list(self.hosts.machines),
            commands=commands,
            marks=self.marks,
            files=self.files,
            webhook=self.told.receiver.url,
            rate=self.plan.runs_per_s,
            most_open=self.plan.most_open,
            began_s=asyncio.get_running_loop().time(),
        )

    async def _pace(self, load: Load, watch: Watch, over: asyncio.Event) -> None:
        while not over.is_set():
            load.open_runs = len(watch.open_runs)
            await asyncio.sleep(0.5)

    # -- after the storm

    async def _calm(
        self, load: Load, callers: Sequence[Caller], calling: Sequence[Any], storm: Storm, watch: Watch
    ) -> list[Offence]:
        """Everything works again: what is open ends, who is to be told is told, no process is left."""
        self._say(f"the storm is over, {sum(storm.injected.values())} faults; calm")
        load.over.set()
        began_s = asyncio.get_running_loop().time()
        self.hosts.heal()
        for one in self.crew.members:
            self.crew.thaw(one)
        if not await self.crew.await_complete(COMPLETE_WITHIN_S):
            self.offences.append(
                Offence(
                    Wrong.CRASHED, ", ".join(self.crew.missing()), "cannot be started any more", self._tails()
                )
            )
        deadline = asyncio.get_running_loop().time() + self.plan.calm_s
        asyncio.get_running_loop().call_at(deadline, load.hopeless.set)
        await asyncio.gather(*calling)
        self._say(f"every call is answered, {len(self.ledger.entries)} in all")
        for asked in self.ledger.acknowledged:
            if asked.kind in (Kind.SCHEDULE, Kind.BOOT) and not asked.stops:
                await callers[0].stop_now(asked)
        await _until(watch.all_closed, deadline)
        self._say(f"{len(watch.open_rounds)} are open still")
        await _until(self._all_told, deadline + TOLD_WITHIN_S)
        self.offences += [
            Offence(Wrong.STUCK, key, f"holds {number} that nobody has carried out")
            for key, number in self._untold().items()
        ]
        offences = [offence async for offence in self._left_over()]
        self.calm_s = asyncio.get_running_loop().time() - began_s
        self._say("nothing goes on any more" if not offences else "something goes on still")
        return offences

    async def _all_told(self) -> bool:
        return not self._untold()

    def _untold(self) -> Mapping[str, int]:
        """Deliveries, and stops of what was given up, that are still to be made."""
        with closing(self.valkey.client()) as client:
            waiting = {key: int(client.zcard(key)) for key in ("ca:outbox", "ca:fences")}
        return {key: number for key, number in waiting.items() if number}

    async def _left_over(self) -> AsyncIterator[Offence]:
        bases = [self.hosts.base_of("i-1"), *(machine.base for machine in self.hosts.machines.values())]

        async def gone() -> bool:
            return not await asyncio.to_thread(left_over, bases)

        deadline = asyncio.get_running_loop().time() + SEEN_GONE_WITHIN_S
        await _until(gone, deadline, every_s=1.0)
        for run_id, processes in left_over(bases).items():
            yield Offence(Wrong.ORPHAN, run_id, f"left on its host: {'; '.join(processes)}")

    async def _judged(self, plane: Plane, read: records.Records, storm: Storm, watch: Watch) -> list[Offence]:
        slow_ms = when_slow(self.crew)
        if slow_ms:
            self.notes.append(f"the machine is slow: {len(slow_ms)} times a process had no turn for seconds")
        beatless, workerless = watch.absent[Job.BEAT], watch.absent[Job.WORKER]
        verdict = Verdict(
            ledger=self.ledger,
            records=read,
            evidence=gathered(self.marks),
            webhooks=self.told.webhooks,
            callbacks=self.told.callbacks,
            ends=Ends(
                troubles=storm.troubles,
                supervisors_killed=storm.supervisors_killed,
                grace_s=self.plan.grace_s,
                workers_hit_ms=storm.workers_hit_ms,
                slow_ms=slow_ms,
                plane_away=[*storm.store_down, *beatless, *workerless],
            ),
            files=self.files,
            outputs=await records.wanted_output(
                plane, [key for key, run in read.runs.items() if run.status in BY_ITSELF]
            ),
            grace_s=self.plan.grace_s,
            away=[*storm.store_down, *watch.absent[Job.ENDPOINT]],
            logged=recorded_late(self.crew),
            messages_explained=self.told.messages_lost | self.told.messages_waiting(),
            workers_killed=storm.injected[FaultKind.WORKER_KILLED],
        )
        self.notes += [f"no answer to the message {token}" for token in verdict.unanswered_messages()]
        slow = ((at_ms - SLOW_FOR_MS, at_ms) for at_ms in slow_ms)
        away = [*storm.store_down, *beatless, *slow]
        stopped_ms = {asked.invoke_id: asked.stopped_ms() for asked in self.ledger.acknowledged}
        return [
            *self.offences,
            *verdict.offences(),
            *ticks.judged(read, away=away, boots=storm.boots(), stopped_ms=stopped_ms),
            *(Offence(Wrong.WRONG_TALLY, text.partition(":")[0], text) for text in watch.wrong),
            *(
                Offence(Wrong.CRASHED, one.name, "ended by itself", one.log.read_text()[-600:])
                for one in self.crew.crashed()
            ),
            *gave_up(self.crew.not_started(), storm.store_down),
            *(
                Offence(Wrong.CRASHED, one.name, f"does not end after {one.ended_by}")
                for one in self.crew.hanging()
            ),
        ]

    def _say(self, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}", flush=True)

    def _tails(self) -> str:
        """The last words of those who do not work."""
        silent = [one for one in self.crew.members if one.alive and not one.ready]
        return "; ".join(f"{one.name}: {one.log.read_text(errors='replace')[-300:]}" for one in silent)


def _innocents() -> Sequence[subprocess.Popen[bytes]]:
    return [subprocess.Popen(["sleep", "infinity"]) for _ in range(INNOCENTS)]


@asynccontextmanager
async def _plane() -> AsyncIterator[Plane]:
    settings = config.load()
    logs.configure("ERROR")
    plane = await wiring.open_plane(settings, wiring.find_servers(settings))
    try:
        yield plane
    finally:
        await plane.close()


async def _until(condition: Any, deadline: float, every_s: float = 0.5) -> bool:
    """Whether the condition came true in time."""
    while asyncio.get_running_loop().time() < deadline:
        try:
            if await condition():
                return True
        except Broken:
            pass  # the store has just come back
        await asyncio.sleep(every_s)
    return False
