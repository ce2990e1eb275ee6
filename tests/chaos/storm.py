"""Carry out the schedule of faults on the plane's processes, its store, its hosts and the ways between.

Notes what it has done, to whom and when, so that the verdict can tell an end that a fault explains from one
that nothing does.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.engine.plane import Plane
from tests.chaos.crew import Crew, Job, Member
from tests.chaos.faults import Fault, FaultKind
from tests.chaos.hosts import Hosts
from tests.chaos.receiving import Told
from tests.support.valkey import ValkeyServer

__all__ = ["Storm", "Trouble"]

T = TypeVar("T")

LEAST_READY = 2
"""Nobody is killed while fewer workers work: there must be somebody who goes on."""
WAIT_FOR_READY_S = 20
DOUBLED_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An instance could not be reached, or lost its processes. Times in ms."""

    kind: FaultKind
    instance_ids: frozenset[str]
    """Empty: all on loopback."""
    from_ms: int
    until_ms: int


@dataclass(slots=True, kw_only=True)
class Storm:
    plane: Plane
    """Of this process: to look, and to deliver messages twice."""
    crew: Crew
    hosts: Hosts
    valkey: ValkeyServer
    told: Told
    seed: int
    open_runs: Callable[[], Sequence[RunKey]]
    """Those that are not final, as the watch has last seen them."""
    injected: Counter[FaultKind] = field(default_factory=Counter)
    passed_over: Counter[FaultKind] = field(default_factory=Counter)
    """For want of anybody whom they could have met."""
    troubles: list[Trouble] = field(default_factory=list)
    supervisors_killed: set[str] = field(default_factory=set)
    """Run ids."""
    workers_hit_ms: list[int] = field(default_factory=list)
    """When a worker was killed, frozen, thawed or told to end."""
    store_down: list[tuple[int, int]] = field(default_factory=list)
    """From when to when, in ms."""
    journal: list[str] = field(default_factory=list)
    """What was done to whom, and when: one line each."""
    store_away: bool = False
    """It is being killed and started: two servers must never have the same files."""

    async def blow(self, faults: Sequence[Fault], *, at_most_s: float) -> None:
        """Every fault at its time. Where workers start too slowly for the kills, time stands still until
        there are some again: kills that made up for lost time would come all at once, and nobody would work.
        What is left after `at_most_s` is passed over."""
        loop = asyncio.get_running_loop()
        began, ends = loop.time(), loop.time() + at_most_s
        kinds = self._kinds()
        async with asyncio.TaskGroup() as going_on:
            for fault in faults:
                if loop.time() > ends:
                    self.passed_over[fault.kind] += 1
                    continue
                await asyncio.sleep(max(0.0, began + fault.at_s - loop.time()))
                if fault.kind in (FaultKind.WORKER_KILLED, FaultKind.WORKER_DRAINED):
                    await self._await_workers()
                    began = max(began, loop.time() - fault.at_s)
                going_on.create_task(self._counted(fault, kinds[fault.kind]))

    async def _counted(self, fault: Fault, act: Callable[[Fault], Awaitable[bool]]) -> None:
        (self.injected if await act(fault) else self.passed_over)[fault.kind] += 1

    def _kinds(self) -> Mapping[FaultKind, Callable[[Fault], Awaitable[bool]]]:
        K = FaultKind  # noqa: N806 - a table is read by its columns
        return {
            K.WORKER_KILLED: self._kill_worker,
            K.WORKER_FROZEN: lambda fault: self._freeze(Job.WORKER, fault),
            K.WORKER_DRAINED: self._drain_worker,
            K.WORKERS_REPLACED: self._replace_workers,
            K.MESSAGES_DOUBLED: self._double_messages,
            K.BROKER_EMPTIED: self._empty_broker,
            K.STORE_KILLED: self._kill_store,
            K.SCRIPTS_FORGOTTEN: self._forget_scripts,
            K.BEAT_KILLED: lambda fault: self._kill(Job.BEAT, fault),
            K.BEAT_FROZEN: lambda fault: self._freeze(Job.BEAT, fault),
            K.ENDPOINT_KILLED: self._kill_endpoint,
            K.SESSIONS_CUT: self._cut_sessions,
            K.SSHD_KILLED: self._kill_sshd,
            K.SUPERVISOR_KILLED: self._kill_supervisor,
            K.HOST_DROPPED: self._drop_host,
            K.HOST_REJECTED: self._reject_host,
            K.LINK_DOWN: self._take_link_down,
            K.HOST_REBOOTED: self._reboot_host,
        }

    # -- the plane's processes

    async def _await_workers(self) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT_FOR_READY_S
        while len(self.crew.ready(Job.WORKER)) < LEAST_READY and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)

    async def _kill_worker(self, fault: Fault) -> bool:
        return await self._kill(Job.WORKER, fault)

    async def _kill(self, job: Job, fault: Fault) -> bool:
        one = _drawn(self.crew.alive(job), fault.whom)
        if one is None:
            return False
        self._hit(one)
        self._note(f"{one.name} (pid {one.process.pid}) killed")
        self.crew.kill(one)
        return True

    async def _freeze(self, job: Job, fault: Fault) -> bool:
        ready = self.crew.ready(job)
        one = _drawn(ready, fault.whom)
        if one is None or len(ready) < LEAST_READY:
            return False
        self._hit(one)
        self._note(f"{one.name} frozen for {fault.lasts_s:.1f} s")
        self.crew.freeze(one)
        await asyncio.sleep(fault.lasts_s)
        self.crew.thaw(one)
        self._hit(one)
        return True

    def _hit(self, one: Member) -> None:
        if one.job is Job.WORKER:
            self.workers_hit_ms.append(_now_ms())

    async def _drain_worker(self, fault: Fault) -> bool:
        one = _drawn(self.crew.ready(Job.WORKER), fault.whom)
        if one is None:
            return False
        self._hit(one)
        self._note(f"{one.name} told to end")
        self.crew.drain(one)
        return True

    async def _replace_workers(self, fault: Fault) -> bool:
        """As a rolling upgrade does: the next goes when somebody works in the place of the last."""
        for one in list(self.crew.alive(Job.WORKER)):
            await self._await_workers()
            if one.alive and not one.frozen:
                self._hit(one)
                self._note(f"{one.name} replaced")
                self.crew.drain(one)
        return True

    async def _kill_endpoint(self, fault: Fault) -> bool:
        self.crew.away[Job.ENDPOINT] = asyncio.get_running_loop().time() + fault.lasts_s
        return await self._kill(Job.ENDPOINT, fault)

    # -- broker and store

    async def _double_messages(self, fault: Fault) -> bool:
        """Runs are delivered that were delivered before: some wait, some run, some have just ended."""
        keys = list(self.open_runs())
        if not keys:
            return False
        again = random.Random(fault.whom).sample(keys, min(DOUBLED_AT_ONCE, len(keys)))
        try:
            await self.plane.dispatch.publish(again, express=True, again=True)
        except Broken:
            return False
        return True

    async def _empty_broker(self, fault: Fault) -> bool:
        try:
            lost = await asyncio.to_thread(self.told.empty_broker)
            self._note(f"broker emptied, {lost} requests lost")
        except OSError:
            return False
        except Exception as error:  # the store is being killed at this moment
            if type(error).__module__.startswith("redis"):
                return False
            raise
        return True

    async def _kill_store(self, fault: Fault) -> bool:
        if self.store_away:
            return False
        from_ms, self.store_away = _now_ms(), True
        self._note(f"store killed for {fault.lasts_s:.1f} s")
        await asyncio.to_thread(self.valkey.kill)
        await asyncio.sleep(fault.lasts_s)
        await asyncio.to_thread(self.valkey.start)
        self.store_away = False
        self.store_down.append((from_ms, _now_ms()))
        return True

    async def _forget_scripts(self, fault: Fault) -> bool:
        client = self.valkey.client()
        try:
            await asyncio.to_thread(client.script_flush)
        except Exception as error:  # as above
            if type(error).__module__.startswith("redis"):
                return False
            raise
        finally:
            client.close()
        return True

    # -- hosts and the ways to them

    async def _cut_sessions(self, fault: Fault) -> bool:
        if self._under(FaultKind.SSHD_KILLED):
            return False
        chance = random.Random(fault.whom)
        return await asyncio.to_thread(self.hosts.cut_sessions, chance, 0.1) > 0

    async def _kill_sshd(self, fault: Fault) -> bool:
        if self._under(FaultKind.SSHD_KILLED):
            return False
        with self._trouble(fault, ()):
            self.hosts.kill_sshd()
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(self.hosts.sshd.start)
        return True

    async def _kill_supervisor(self, fault: Fault) -> bool:
        """Of a run that goes on. Numbers of processes are those of the moment: whoever is not the supervisor
        any more is left alone."""
        keys = [key for key in self.open_runs() if key.instance_id not in self.hosts.machines]
        random.Random(fault.whom).shuffle(keys)
        for key in keys:
            pid = self.hosts.supervisor_of(key.run_id, key.instance_id)
            if pid and _kill_supervisor(pid, key.run_id):
                self._note(f"supervisor of {key.run_id} killed")
                self.supervisors_killed.add(key.run_id)
                return True
        return False

    async def _drop_host(self, fault: Fault) -> bool:
        return await self._block(fault, self.hosts.drop)

    async def _reject_host(self, fault: Fault) -> bool:
        return await self._block(fault, self.hosts.reject)

    async def _block(self, fault: Fault, block: Callable[[str, float], None]) -> bool:
        busy = sorted({str(key.instance_id) for key in self.open_runs()}) or self.hosts.loopback
        instance_id = _drawn(busy, fault.whom)
        assert instance_id is not None
        with self._trouble(fault, (instance_id,)):
            await asyncio.to_thread(block, instance_id, fault.lasts_s)
            await asyncio.sleep(fault.lasts_s)
        return True

    async def _take_link_down(self, fault: Fault) -> bool:
        machine = _drawn(list(self.hosts.machines.values()), fault.whom)
        if machine is None:
            return False
        with self._trouble(fault, (str(machine.id),)):
            await asyncio.to_thread(machine.link_down)
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(machine.link_up)
        return True

    async def _reboot_host(self, fault: Fault) -> bool:
        instance_id = _drawn(list(self.hosts.machines), fault.whom)
        if instance_id is None or self._under(FaultKind.HOST_REBOOTED, instance_id):
            return False
        with self._trouble(fault, (instance_id,)):
            await self.hosts.reboot(instance_id, fault.lasts_s)
        return True

    def boots(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        """When each machine went down, and was up again, in ms."""
        return {
            name: [
                (one.from_ms, one.until_ms)
                for one in self.troubles
                if one.kind is FaultKind.HOST_REBOOTED and name in one.instance_ids
            ]
            for name in self.hosts.machines
        }

    def _under(self, kind: FaultKind, instance_id: str = "") -> bool:
        """Whether such a fault goes on: of the whole network, or of this instance."""
        return any(
            one.kind is kind and not one.until_ms and (not instance_id or instance_id in one.instance_ids)
            for one in self.troubles
        )

    def _trouble(self, fault: Fault, instance_ids: Sequence[str]) -> "_Noting":
        whom = ", ".join(instance_ids) or "all on loopback"
        self._note(f"{fault.kind}: {whom}, for {fault.lasts_s:.1f} s")
        return _Noting(self.troubles, fault.kind, frozenset(instance_ids))

    def _note(self, what: str) -> None:
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.gmtime(now))
        self.journal.append(f"{clock}.{int(1_000 * (now % 1)):03d} {what}")


class _Noting:
    """Notes a trouble with its beginning, and at its end with that."""

    def __init__(self, troubles: list[Trouble], kind: FaultKind, instance_ids: frozenset[str]) -> None:
        self._troubles = troubles
        self._now = Trouble(kind=kind, instance_ids=instance_ids, from_ms=_now_ms(), until_ms=0)

    def __enter__(self) -> None:
        self._troubles.append(self._now)

    def __exit__(self, *_: object) -> None:
        self._troubles.remove(self._now)
        now = self._now
        self._troubles.append(
            Trouble(kind=now.kind, instance_ids=now.instance_ids, from_ms=now.from_ms, until_ms=_now_ms())
        )


def _now_ms() -> int:
    return int(1_000 * time.time())


def _drawn(those: Sequence[T], whom: float) -> T | None:
    return those[int(whom * len(those))] if those else None


def _kill_supervisor(pid: int, run_id: str) -> bool:
    """True if the process is the run's supervisor still, and was killed."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"supervise" not in words or run_id.encode() not in words:
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:  # it has just ended
        return False
    return True
