"""The way from one process to the simulated machines: the `Transport` port, over connections that break.

Packets take their time. On a way that is cut they are sent again until the connection is given up; a machine
that has restarted since resets it. What a process had sent when it died may still arrive.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from cloudassist_tasks.domain.boot import Boot
from cloudassist_tasks.domain.errors import ErrorCode, LostContact, RunFailed, Unreachable
from cloudassist_tasks.domain.instance import HostFacts, Instance
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.transport import (
    Attachment,
    Ended,
    Event,
    Greeting,
    Host,
    HostState,
    Payload,
    Reached,
    Report,
)
from tests.simulation.hosts import Fleet, Machine
from tests.simulation.loop import WORLD, Process
from tests.simulation.trace import Trace

T = TypeVar("T")

CONNECT_WITHIN_S, ANSWER_WITHIN_S, STOP_WITHIN_S = 10.0, 20.0, 60.0
SEND_AGAIN_S = 1.0
SILENT_AFTER_S = 1.0
GIVE_UP_AFTER_S = (15.0, 120.0)
"""When a connection over a way that is cut is noticed to be gone."""

FRESH = (HostState.ABSENT, HostState.PREPARED)
FACTS = HostFacts(
    base="/var/lib/ca",
    helper_path="/var/lib/ca/bin/ca.sh",
    helper_version="1",
    shell="/bin/sh",
    uid=0,
    user="root",
)


@dataclass(slots=True, kw_only=True)
class Roads:
    """How bad the ways to the machines are; shared, changed by the storm."""

    one_way_s: float = 0.004
    slow: float = 0.0
    """How often a packet takes up to 3 s."""
    reset: float = 0.0
    """How often a packet finds its connection reset."""
    dropped: float = 0.0
    """How often a connection attempt is dropped before the login."""


class Line:
    """One connection."""

    def __init__(self, transport: "SimulatedTransport", machine: Machine) -> None:
        self.transport = transport
        self.process: Process = transport.process
        self.machine = machine
        self.boot = machine.boot
        self.alive = True
        self.on_lost: list[Callable[[LostContact], None]] = []
        self._giving_up = False
        machine.on_silence.append(self._silence)

    def _silence(self, orderly: bool) -> None:
        if orderly:
            self.lose("closed by the machine")
        else:
            self._give_up_later()

    def lose(self, why: str) -> None:
        if self.alive:
            self.alive = False
            self.machine.on_silence.remove(self._silence)
            self.transport.trace.note(self.process.name, "line-lost", self.machine.name, why)
            lost, self.on_lost = self.on_lost, []
            for tell in lost:
                tell(LostContact(f"{self.machine.name}: {why}"))

    def travel(self, arrive: Callable[[], object], *, at_least_s: float = 0.0) -> float:
        """Have it happen at the other end; when it will, if nothing is in the way."""
        transport, loop = self.transport, self.process.loop
        in_s = max(transport.trip_s(), at_least_s)
        reset = transport.roads.reset and transport.chance.random() < transport.roads.reset
        dies_with_process = transport.chance.random() < 0.3
        loop.call_later(in_s, self._arrive, arrive, bool(reset), dies_with_process, context=WORLD)
        return loop.now + in_s

    def _arrive(self, arrive: Callable[[], object], reset: bool, dies_with_process: bool) -> None:
        if not self.alive or (dies_with_process and not self.process.alive):
            return
        if not self.machine.connected:
            self._give_up_later()
            again = (arrive, reset, dies_with_process)
            self.process.loop.call_later(SEND_AGAIN_S, self._arrive, *again, context=WORLD)
        elif self.boot != self.machine.boot or reset:
            self.machine.dropped.append(self.process.loop.now)
            self.lose("connection reset by peer")
        else:
            arrive()

    def _give_up_later(self) -> None:
        if not self._giving_up:
            self._giving_up = True
            in_s = self.transport.chance.uniform(*GIVE_UP_AFTER_S)
            self.process.loop.call_later(in_s, self._give_up, context=WORLD)

    def _give_up(self) -> None:
        self._giving_up = False
        if not self.machine.connected or self.boot != self.machine.boot:
            self.lose("no answer to keepalives")


class SimulatedTransport:
    """`ports.transport.Transport` of one process."""

    def __init__(
        self, process: Process, fleet: Fleet, roads: Roads, chance: random.Random, trace: Trace
    ) -> None:
        self.process = process
        self.fleet = fleet
        self.roads = roads
        self.chance = chance
        self.trace = trace
        self._lines: dict[str, Line] = {}

    def trip_s(self) -> float:
        chance, roads = self.chance, self.roads
        if roads.slow and chance.random() < roads.slow:
            return chance.uniform(0.1, 3.0)
        return roads.one_way_s * chance.uniform(0.5, 2.0)

    def reach(
        self,
        instance: Instance,
        *,
        facts: HostFacts | None,
        jump: Sequence[Instance] = (),
        prepare: bool = False,
        on_silence: Callable[[], object] | None = None,
    ) -> AbstractAsyncContextManager[Reached]:
        return self._reach(self.fleet.machines[instance.id], facts, prepare, on_silence)

    @asynccontextmanager
    async def _reach(
        self,
        machine: Machine,
        facts: HostFacts | None,
        prepare: bool,
        on_silence: Callable[[], object] | None,
    ) -> AsyncIterator[Reached]:
        line = await self.line_to(machine, on_silence)
        learned = replace(FACTS, boot_id=f"{machine.name}/{line.boot}")
        prepared = facts is None or prepare
        yield Reached(
            host=SimulatedHost(self, machine, learned),
            facts=learned if prepared or facts is None else facts,
            prepared=prepared,
        )

    async def line_to(self, machine: Machine, on_silence: Callable[[], object] | None = None) -> Line:
        """A kept connection, or a new one."""
        line = self._lines.get(machine.name)
        if line is None or not line.alive:
            line = self._lines[machine.name] = await self._dial(machine, on_silence)
        return line

    async def _dial(self, machine: Machine, on_silence: Callable[[], object] | None) -> Line:
        await asyncio.sleep(3 * self.trip_s())
        if not machine.reachable or (not machine.up and self.chance.random() < 0.5):
            await asyncio.sleep(SILENT_AFTER_S)
            if on_silence is not None:
                on_silence()
            await asyncio.sleep(CONNECT_WITHIN_S - SILENT_AFTER_S)
            raise Unreachable(
                ErrorCode.CLIENT_NETWORK_BLOCKED, f"no route to {machine.name}", retry_helps=True
            )
        if not machine.up:
            raise Unreachable(
                ErrorCode.CLIENT_NOT_RUNNING, f"nothing listens at {machine.name}", retry_helps=True
            )
        if machine.refuses_login:
            raise Unreachable(
                ErrorCode.CLIENT_NOT_ONLINE, f"{machine.name} refuses the login", retry_helps=False
            )
        if self.roads.dropped and self.chance.random() < self.roads.dropped:
            machine.dropped.append(self.process.loop.now)
            raise Unreachable(
                ErrorCode.CLIENT_NOT_RESPONSE, f"{machine.name} drops connections", retry_helps=True
            )
        return Line(self, machine)

    async def load(self) -> None: ...

    async def close(self) -> None: ...


class SimulatedHost:
    """`ports.transport.Host`."""

    def __init__(self, transport: SimulatedTransport, machine: Machine, facts: HostFacts) -> None:
        self._transport = transport
        self._machine = machine
        self._facts = facts

    @property
    def facts(self) -> HostFacts:
        return self._facts

    async def launch(self, run_id: str, *, user: str) -> Attachment:
        line, greeting = await self._greeted(run_id)
        return SimulatedAttachment(self, line, run_id, greeting)

    async def follow(self, run_id: str, *, user: str, offset: int) -> Attachment:
        line, greeting = await self._greeted(run_id)
        attachment = SimulatedAttachment(self, line, run_id, greeting)
        if greeting.state not in FRESH:
            attachment.follow(offset)
        return attachment

    async def cancel(self, run_id: str, *, user: str) -> Report:
        machine = self._machine

        def stop(answer: Callable[[Report], None]) -> None:
            machine.stop(run_id, lambda: answer(machine.look(run_id, None)))

        return await self._ask(await self._line(), stop, STOP_WITHIN_S)

    async def collect(self, offsets: Mapping[str, int], *, user: str) -> Mapping[str, Report]:
        machine = self._machine
        return await self._ask(
            await self._line(),
            lambda answer: answer({run_id: machine.look(run_id, at) for run_id, at in offsets.items()}),
        )

    async def acknowledge(self, run_ids: Sequence[str], *, user: str) -> None:
        machine = self._machine

        def acknowledge(answer: Callable[[None], None]) -> None:
            for run_id in run_ids:
                machine.acknowledge(run_id)
            answer(None)

        await self._ask(await self._line(), acknowledge)

    async def boot(self) -> Boot:
        machine = self._machine
        return await self._ask(await self._line(), lambda answer: answer(machine.booted()))

    async def zone(self) -> str:
        return await self._ask(await self._line(), lambda answer: answer("UTC"))

    async def sweep(self, retention_days: int) -> None:
        await self.zone()  # as long as any call takes; there is nothing to drop

    async def _line(self) -> Line:
        return await self._transport.line_to(self._machine)

    async def _greeted(self, run_id: str) -> tuple[Line, Greeting]:
        line, machine = await self._line(), self._machine

        def greet(answer: Callable[[Greeting], None]) -> None:
            answer(Greeting(state=machine.state_of(run_id), boot_id=machine.boot_id))

        return line, await self._ask(line, greet)

    async def _ask(
        self,
        line: Line,
        at_host: Callable[[Callable[[T], None]], object],
        within_s: float = ANSWER_WITHIN_S,
    ) -> T:
        """Have it done there; what it answers. `LostContact` if the line breaks, `Unreachable` if nothing
        comes in time."""
        answered: asyncio.Future[T] = line.process.loop.create_future()

        def settle(answer: T) -> None:
            if not answered.done():
                answered.set_result(answer)

        def lost(why: LostContact) -> None:
            if not answered.done():
                answered.set_exception(why)

        line.on_lost.append(lost)

        def answer(value: T) -> None:
            line.travel(lambda: settle(value))

        line.travel(lambda: at_host(answer))
        try:
            async with asyncio.timeout(within_s):
                return await answered
        except TimeoutError as error:
            raise Unreachable(
                ErrorCode.CLIENT_NOT_RESPONSE, f"{self._machine.name} does not answer", retry_helps=True
            ) from error
        finally:
            if lost in line.on_lost:
                line.on_lost.remove(lost)


class SimulatedAttachment:
    """`ports.transport.Attachment`: one channel to one run."""

    def __init__(self, host: SimulatedHost, line: Line, run_id: str, greeting: Greeting) -> None:
        self.greeting = greeting
        self._host = host
        self._line = line
        self._run_id = run_id
        self._streams = False
        self._sent: deque[Event] = deque()
        """On their way: in the order in which they were sent they come, whichever packet is late."""
        self._events: deque[Event] = deque()
        self._failure: RunFailed | None = None
        self._came: asyncio.Future[None] | None = None
        self._last_s = 0.0
        line.on_lost.append(self._lost)
        if not line.alive:
            self._failure = LostContact(f"{line.machine.name}: connection lost")

    async def begin(self, payload: Payload) -> None:
        machine = self._line.machine
        self._streams = True

        def arrive() -> None:
            if machine.start(self._run_id, payload):
                machine.follow(self._run_id, 0, self._tell)
            else:
                self._line.travel(self._no_space)

        self._line.travel(arrive)

    def follow(self, offset: int) -> None:
        self._streams = True
        self._line.travel(lambda: self._line.machine.follow(self._run_id, offset, self._tell))

    async def events(self) -> AsyncIterator[Event]:
        while self._streams:
            while not self._events:
                if self._failure is not None:
                    raise self._failure
                self._came = self._line.process.loop.create_future()
                await self._came
            event = self._events.popleft()
            if isinstance(event, Ended):
                self._streams = False
            yield event

    async def acknowledge(self) -> None:
        """On the channel; if it is gone, nobody hears it."""
        self._line.travel(lambda: self._line.machine.acknowledge(self._run_id))

    async def close(self) -> None:
        self._streams = False
        if self._lost in self._line.on_lost:
            self._line.on_lost.remove(self._lost)

    def _tell(self, event: Event) -> None:
        """At the host: on its way, behind what was told before."""
        if not self._line.process.alive:
            return
        wait_s = max(0.0, self._last_s - self._line.process.loop.now + 1e-6)
        self._sent.append(event)
        self._last_s = self._line.travel(self._come, at_least_s=wait_s)

    def _come(self) -> None:
        self._events.append(self._sent.popleft())
        self._wake()

    def _no_space(self) -> None:
        info = f"{self._line.machine.name} has no space left for the run"
        self._failure = RunFailed(RunStatus.ERROR, ErrorCode.EXECUTION_EXCEPTION, info)
        self._wake()

    def _lost(self, why: LostContact) -> None:
        self._failure = why
        self._wake()

    def _wake(self) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_result(None)


_: type[Host] = SimulatedHost
