"""One process that holds claims: who it is, which runs it carries, and how it stays alive in the store.

Every claim belongs to a process, so each process (a prefork child and a beat too) has one Worker. Its loop
beats, hears of stops, and lets go of runs. It runs on the same event loop as the runs themselves: a
process too busy to follow its runs is too busy to beat, and loses them.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from cloudassist_tasks.awake import Awake
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.runs import Held
from cloudassist_tasks.ports.workers import WorkerInfo

T = TypeVar("T")

LET_GO_WITHIN_S = 10
"""A draining process waits so long for its runs to be given back; with the store away that cannot be, and
the claims go with the process."""

SPECS_KEPT = 256
"""Specs never change; those of the invocations at work are read once per process."""


class LetGo(StrEnum):
    """Why a process stops carrying a run that goes on."""

    LONG = "long"
    """Followed for its share of time; looked at now and then from here on."""
    CROWDED = "crowded"
    """All slots are taken and work waits."""
    DRAIN = "drain"
    """The process ends; another follows at once."""
    BURIED = "buried"
    """The store has taken the claim back; whatever we would record is refused."""


@dataclass(slots=True, eq=False)
class Carried:
    """One run in this process's hands."""

    held: Held
    begun: float
    """Loop time of the claim."""
    task: asyncio.Task[Any] | None
    """Who carries it."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: LetGo | None = None
    abandoned: bool = False
    """Its process ends without having been able to give it back."""
    wait: asyncio.Timeout | None = None
    """The wait that a stop or a letting go may cut short; None while a step must not be torn."""
    on_stop: Callable[[], object] | None = None
    """What a stop does once something may have been sent to the host."""

    def ask_stop(self) -> None:
        if not self.stop.is_set():
            self.stop.set()
            if self.on_stop is not None:
                self.on_stop()
            else:
                self.cut()

    def ask_let_go(self, why: LetGo) -> None:
        if self.let_go is None:
            self.let_go = why
            self.cut()

    def cut(self) -> None:
        if self.wait is not None and not self.wait.expired():
            self.wait.reschedule(0)


class Worker:
    """The process's identity and what it carries. Made and used on the event loop."""

    def __init__(self, plane: Plane, *, host: str, pid: int, kind: str) -> None:
        self.plane = plane
        self.info = self._fresh_info(host, pid, kind)
        self.carried: dict[RunKey, Carried] = {}
        self.draining = False
        self.awake = Awake()
        self.connecting = asyncio.Semaphore(plane.settings.ssh_connects_at_once)
        """Turns to connect; the delivery deadline of a run that waits for one has not begun."""
        self.expiring = 0
        """How many overdue runs this process is ending."""
        self.fencing = 0
        """How many given-up runs it is stopping on their hosts."""
        self.looking = 0
        """How many hosts it is asking for their boot."""
        self.unplanned: frozenset[InvokeId] = frozenset()
        """Schedules that are due and that this version cannot read the times of: they stay due."""
        self.delivering = 0
        """How many callbacks and webhooks it is sending."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._specs: dict[RoundKey, InvocationSpec] = {}
        self._listening: asyncio.Task[None] | None = None

    def _fresh_info(self, host: str, pid: int, kind: str) -> WorkerInfo:
        worker_id = WorkerId(f"{host}-{pid}-{self.plane.new_id('')}")
        return WorkerInfo(id=worker_id, host=host, pid=pid, kind=kind, started_ms=self.plane.clock.now_ms())

    @property
    def id(self) -> WorkerId:
        return self.info.id

    async def start(self) -> None:
        """Register, beat and listen until `leave`."""
        await self.plane.store.workers.register(self.info, now_ms=self.plane.clock.now_ms())
        self.awake.begin()
        self.spawn(self._beat())
        self._listening = self.spawn(self._listen())

    def drain(self) -> None:
        """Carry nothing new and let go of everything. Returns at once."""
        if not self.draining:
            self.draining = True
            self.spawn(self._abandon_late())
        for carried in list(self.carried.values()):
            carried.ask_let_go(LetGo.DRAIN)

    async def _abandon_late(self) -> None:
        await asyncio.sleep(LET_GO_WITHIN_S)
        for carried in list(self.carried.values()):
            log("run_abandoned", logging.WARNING, run=carried.held.key.run_id)
            carried.abandoned = True
            if carried.task is not None:
                carried.task.cancel()

    async def leave(self, within_s: float = 10) -> None:
        """Drain, and sign off once nothing is carried."""
        self.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.carried or self.delivering:
                    await asyncio.sleep(0.02)
        self.awake.end()
        for task in list(self._tasks):
            task.cancel()
        with suppress(Broken):  # then the store buries it
            await self.plane.store.workers.leave(self.id)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run beside everything else; an error is logged, not lost."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            passes = isinstance(error, Broken)  # and reconcile comes back to it
            level = logging.WARNING if passes else logging.ERROR
            log("background_failed", level, work=task.get_coro().__qualname__, error=repr(error))  # type: ignore[union-attr]

    @contextmanager
    def carrying(self, held: Held) -> Iterator[Carried]:
        carried = Carried(held, asyncio.get_running_loop().time(), asyncio.current_task())
        self.carried[held.key] = carried
        try:
            yield carried
        finally:
            if self.carried.get(held.key) is carried:
                del self.carried[held.key]

    def make_room(self, runs: int, *, older_than_s: float = 30) -> None:
        """Let go of the longest-carried runs, for work that waits."""
        now = asyncio.get_running_loop().time()
        for carried in sorted(self.carried.values(), key=lambda one: one.begun)[:runs]:
            if now - carried.begun > older_than_s:
                carried.ask_let_go(LetGo.CROWDED)

    async def spec(self, key: RunKey) -> InvocationSpec | None:
        """What the run's invocation asked for, in its round; None if it is long forgotten."""
        spec = self._specs.get(key.of)
        if spec is None:
            invocation = await self.plane.store.invocations.get(key.invoke_id, round=key.round)
            if invocation is None:
                return None
            spec = invocation.spec
            if len(self._specs) >= SPECS_KEPT:
                del self._specs[next(iter(self._specs))]
            self._specs[key.of] = spec
        return spec

    async def _beat(self) -> None:
        while True:
            try:
                stops = await self.plane.store.workers.beat(self.id, now_ms=self.plane.clock.now_ms())
                if stops is None:
                    await self._rise()
                for key in stops or ():
                    self._stop(key)
            except Broken as error:
                log("beat_failed", logging.WARNING, worker=self.id, error=str(error))
            except Exception as error:  # a fault of ours must not end the beat: its runs would be lost
                log("beat_failed", logging.ERROR, worker=self.id, error=repr(error))
            await asyncio.sleep(self.plane.settings.heartbeat_s)

    async def _rise(self) -> None:
        """We were taken for dead: our claims are void. Go on under a new name."""
        log("worker_buried", logging.WARNING, worker=self.id, runs=len(self.carried))
        for carried in list(self.carried.values()):
            carried.ask_let_go(LetGo.BURIED)
        fresh = self._fresh_info(self.info.host, self.info.pid, self.info.kind)
        await self.plane.store.workers.register(fresh, now_ms=self.plane.clock.now_ms())
        self.info = fresh
        if self._listening is not None:
            self._listening.cancel()
        self._listening = self.spawn(self._listen())

    async def _listen(self) -> None:
        """Hear of stops at once; the beat hears of those that are missed here."""
        while True:
            try:
                async with self.plane.notify.stops(self.id) as stops:
                    async for key in stops:
                        self._stop(key)
            except Broken:
                await asyncio.sleep(self.plane.settings.heartbeat_s)

    def _stop(self, key: RunKey) -> None:
        if (carried := self.carried.get(key)) is not None:
            carried.ask_stop()
