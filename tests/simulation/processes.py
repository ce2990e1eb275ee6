"""What runs in simulated processes: workers, beats and callers, made of the product's own parts.

As `tasks/process.py`, `workers/` and `beat/scheduler.py` put them together, without Celery: registered,
beating, reconciling, delivering; a worker also takes messages, a beat also fires schedules.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InvokeId, RunKey, WorkerId
from cloudassist_tasks.engine.collect import collect
from cloudassist_tasks.engine.deliver import deliver_for_ever
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.fire import fire_due
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.reconcile import WORKER, reconcile_for_ever
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.notify import Move
from cloudassist_tasks.store.clock import StoreClock
from cloudassist_tasks.store.events import RedisEvents
from cloudassist_tasks.store.redis_store import RedisStore
from cloudassist_tasks.store.vault import FileVault
from cloudassist_tasks.transports.power import ShellSwitch
from cloudassist_tasks.webhooks.posting import HttpWebhooks
from tests.simulation.broker import Broker, Inbox, Message, SimulatedDispatch
from tests.simulation.hosts import Fleet
from tests.simulation.loop import WORLD, Process, VirtualLoop
from tests.simulation.network import Weather, Wire
from tests.simulation.server import Server
from tests.simulation.trace import Trace
from tests.simulation.transport import Roads, SimulatedTransport

BEAT = "beat"
LOOK_EVERY_S = 0.5
"""As beat/scheduler.py."""
OPEN_AGAIN_S = 2.0
"""As tasks/process.py."""
ROOM_EVERY_S = 1.0
"""As workers/lifecycle.py."""
NOWHERE = "unix:///simulated"


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What all processes of one simulation share."""

    seed: str
    loop: VirtualLoop
    trace: Trace
    server: Server
    weather: Weather
    broker: Broker
    fleet: Fleet
    roads: Roads
    settings: Settings
    subscribed: "dict[WorkerId, StopsHeard]" = field(default_factory=dict)
    wake_ups_lost: float = 0.0

    def chance(self, whose: str) -> random.Random:
        """Of one part: what another part draws does not change it."""
        return random.Random(f"{self.seed}/{whose}")


class StopsHeard:
    """The `Notify` port of one process: runs of its worker that are to be stopped."""

    def __init__(self, around: Surroundings, process: Process) -> None:
        self._around = around
        self._process = process
        self._queue: asyncio.Queue[RunKey] = asyncio.Queue()

    def stops(self, worker: WorkerId) -> AbstractAsyncContextManager[AsyncIterator[RunKey]]:
        return self._subscribed(worker)

    def moves(self, invoke_id: InvokeId) -> AbstractAsyncContextManager[AsyncIterator[Move]]:
        raise NotImplementedError(f"nobody watches {invoke_id} in a simulation")

    @asynccontextmanager
    async def _subscribed(self, worker: WorkerId) -> AsyncIterator[AsyncIterator[RunKey]]:
        self._around.subscribed[worker] = self
        try:
            yield self._heard()
        finally:
            self._around.subscribed.pop(worker, None)

    async def _heard(self) -> AsyncIterator[RunKey]:
        while True:
            yield await self._queue.get()

    def hear(self, key: RunKey) -> None:
        """From outside: it arrives in the process."""
        self._process.call(self._queue.put_nowait, key)

    async def close(self) -> None: ...


class Life:
    """One simulated process with its way to the store and its plane."""

    def __init__(self, around: Surroundings, name: str) -> None:
        self.around = around
        self.name = name
        self.process = Process(around.loop, name)
        self.chance = around.chance(name)
        self.wire = Wire(
            self.process, around.server, around.weather, around.chance(f"{name}/wire"), around.trace
        )
        self._ids = itertools.count()

    def begin(self) -> None:
        """Its main work, if it has one."""

    async def plane(self) -> Plane:
        """As wiring.open_plane makes it. `Broken` if the store does not answer."""
        around, name = self.around, self.name
        link = self.wire.link()
        clock = StoreClock(link, monotonic_s=around.loop.time)
        await clock.renew()
        nonces = around.chance(f"{name}/nonces")
        store = RedisStore(
            link,
            clock,
            StopsHeard(around, self.process),  # type: ignore[arg-type]
            RedisEvents(link, NOWHERE),
            new_nonce=lambda: f"{nonces.getrandbits(48):012x}",
        )
        return Plane(
            store=store,
            clock=clock,
            notify=store.notify,
            dispatch=SimulatedDispatch(
                self.process, around.broker, around.chance(f"{name}/broker"), around.trace
            ),
            transport=SimulatedTransport(
                self.process, around.fleet, around.roads, around.chance(f"{name}/roads"), around.trace
            ),
            switch=ShellSwitch(),
            vault=FileVault(around.settings.data_dir, around.settings.secret_key),
            webhooks=HttpWebhooks(deadline_s=1),
            settings=around.settings,
            new_id=self.new_id,
            close=self._close,
        )

    def new_id(self, prefix: str) -> str:
        return f"{prefix}{self.name}-{next(self._ids)}"

    async def _close(self) -> None: ...

    def kill(self) -> None:
        self.process.kill()


class Crew(Life):
    """A worker or a beat."""

    def __init__(self, around: Surroundings, name: str, *, kind: str, slots: int = 0) -> None:
        super().__init__(around, name)
        self.kind = kind
        self.worker: Worker | None = None
        self.inbox = Inbox(self.process, slots, self._take)
        self.carrying: dict[Message, asyncio.Task[None]] = {}

    def begin(self) -> None:
        self.process.run(self._live())

    async def _live(self) -> None:
        while self.worker is None:
            try:
                await self._open()
            except Broken as error:
                log("not_registered", logging.WARNING, error=str(error))
                await asyncio.sleep(OPEN_AGAIN_S)
        assert self.worker is not None
        if self.kind == WORKER:
            self.around.broker.attach(self.inbox)
            await self._make_room()
        else:
            await self._fire()

    async def _open(self) -> None:
        worker = Worker(await self.plane(), host=self.name, pid=1, kind=self.kind)
        await worker.start()
        worker.spawn(reconcile_for_ever(worker))
        worker.spawn(deliver_for_ever(worker))
        self.worker = worker

    async def _make_room(self) -> None:
        assert self.worker is not None
        while True:
            await asyncio.sleep(ROOM_EVERY_S)
            if len(self.worker.carried) >= self.inbox.slots and self.around.broker.waiting:
                self.worker.make_room(self.around.broker.waiting)

    async def _fire(self) -> None:
        """As `StoreScheduler.tick`, again and again."""
        assert self.worker is not None
        plane = self.worker.plane
        while True:
            wait_s = LOOK_EVERY_S
            try:
                await fire_due(self.worker)
                if (next_ms := await plane.store.schedules.next_ms()) is not None:
                    wait_s = min(LOOK_EVERY_S, max(0.005, (next_ms - plane.clock.now_ms()) / 1_000))
            except Broken as error:
                log("tick_failed", logging.WARNING, error=str(error))
            except Exception as error:
                log("tick_failed", logging.ERROR, error=repr(error))
            await asyncio.sleep(wait_s)

    def _take(self, message: Message) -> None:
        self.carrying[message] = self.around.loop.create_task(self._carry(message))

    async def _carry(self, message: Message) -> None:
        assert self.worker is not None
        try:
            if isinstance(message.about, RunKey):
                await execute(self.worker, message.about)
            else:
                await collect(self.worker, message.about)
        except Broken:
            pass  # the task fails; what it was for stands in the store
        except Exception as error:
            log("task_failed", logging.ERROR, about=str(message), error=repr(error))
        finally:
            self.carrying.pop(message, None)
            self.around.broker.done(self.inbox, message)

    def drain(self) -> None:
        """As by SIGTERM: let go of everything, sign off, end. A few messages still come."""
        self.process.run(self._drain())

    async def _drain(self) -> None:
        if self.worker is not None:
            self.worker.drain()
            await asyncio.sleep(0.3)
            self.around.broker.detach(self.inbox)
            for _ in range(100):
                if not self.worker.carried:
                    break
                await asyncio.sleep(0.1)
            await self.worker.leave(within_s=1)
        self.around.loop.call_soon(self.kill, context=WORLD)

    def kill(self) -> None:
        super().kill()
        self.around.broker.forget_of_the_dead(self.inbox)
        for worker_id, heard in list(self.around.subscribed.items()):
            if heard._process is self.process:
                del self.around.subscribed[worker_id]
