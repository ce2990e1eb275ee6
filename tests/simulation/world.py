"""One simulation from its seed to its verdict: what is drawn, the course of events, what is looked at when.

Setting up, then a storm of faults while callers ask for things, then the calm in which everything must end.
"""

import asyncio
import gc
import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.ids import InstanceId, RunKey, WorkerId
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine.reconcile import WORKER
from cloudassist_tasks.logs import logger
from cloudassist_tasks.store import keys
from tests.simulation.broker import Broker, Manners
from tests.simulation.faults import Severity, Storm
from tests.simulation.hosts import Fleet, Work
from tests.simulation.load import Ask, Asked, Caller, Janitor, Registrar, asks
from tests.simulation.loop import WORLD, VirtualLoop, current_process
from tests.simulation.network import Weather
from tests.simulation.processes import BEAT, Crew, Life, Surroundings
from tests.simulation.server import Server, Servers
from tests.simulation.trace import Trace
from tests.simulation.transport import Roads
from tests.simulation.verdict import Evidence, Fault, verdict, wrong_tallies

BEGUN_MS = 1_767_225_600_000
"""The store's time when a simulation begins: the first moment of 2026."""

CALM_WITHIN_S = 900.0
"""After the calm everything must have ended: the longest chain is that of a capped invocation."""

STOPPED_AFTER_S = 20.0
"""Schedules whose caller died before stopping them go on so long in the calm."""

COLLECT_AFTER = 100_000
"""Objects: rarely, since a simulation keeps most of what it makes."""

AFTERWARDS_S = 55.0
"""What comes late (messages, fences) has come by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a simulation is made of."""

    seed: int
    instances: int
    workers: int
    beats: int
    slots: int
    storm_s: float
    limits: Limits
    asks: Sequence[Ask]
    severity: Severity
    callers_die: bool = True
    look_every_s: float = 7.3
    """How often the tallies are checked meanwhile."""
    trace_lines: int = 200_000


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of it."""

    seed: int
    faults: list[Fault]
    hash: str
    trace: Trace | None
    """None: it was left in another process."""
    ended: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    calls: int = 0
    virtual_s: float = 0.0
    settled_s: float = 0.0
    """How long after the calm the last invocation closed."""

    def without_trace(self) -> "Report":
        return replace(self, trace=None)

    def __str__(self) -> str:
        return (
            f"{self.hash} {self.virtual_s:.0f} s simulated, settled {self.settled_s:.0f} s after the calm,"
            f" {self.calls} calls of the store, {self.starts} starts, {dict(self.ended)},"
            f" {dict(self.injected)}"
        )


def drawn(seed: int, *, instances: int | None = None) -> Plan:
    """A small one."""
    chance = random.Random(f"{seed}/plan")
    many = instances or chance.randint(8, 40)
    storm_s = chance.choice((40.0, 70.0))
    batch = chance.choice((4, 50))
    return Plan(
        seed=seed,
        instances=many,
        workers=chance.randint(2, 3),
        beats=chance.randint(1, 2),
        slots=chance.choice((6, 60)),
        storm_s=storm_s,
        limits=Limits(
            grace_s=20,
            delivery_timeout_s=chance.choice((15, 40)),
            follow_max_s=chance.choice((4, 15, 600)),
            batch=batch,
            window=batch * 4,
            window_low=batch * 3,
            instance_runs=chance.choice((1, 3, 10)),
            instance_waiting=chance.choice((2, 50)),
        ),
        asks=asks(chance, ids(many), storm_s=storm_s),
        severity=Severity.drawn(chance),
    )


def large(seed: int, members: int) -> Plan:
    """One invocation on all machines of a large fleet, with the product's own limits."""
    chance = random.Random(f"{seed}/plan")
    names = ids(members)
    ask = Ask(
        at_s=1.0,
        work=Work(0.2, 20.0, 0.01, 40),
        members=names,
        timeout_s=60,
        callback=Callback(task="told.of", queue="others"),
    )
    return Plan(
        seed=seed,
        instances=members,
        workers=4,
        beats=2,
        slots=4_000,
        storm_s=60.0,
        limits=Limits(),
        asks=[ask],
        severity=Severity(every_s=chance.choice((0.5, 1.0)), lost_forever=0.02),
        callers_die=False,
        look_every_s=30.0,
        trace_lines=1_000,
    )


def ids(many: int) -> list[InstanceId]:
    return [InstanceId(f"i-{n}") for n in range(1, many + 1)]


def simulate(plan: Plan, servers: Servers) -> Report:
    """From beginning to end."""
    with _undisturbed(plan.seed):
        world = World(plan, servers)
        with _logged(world.trace) as unexpected:
            world.unexpected = unexpected
            try:
                return world.loop.run(world.run())
            finally:
                world.loop.close()


@contextmanager
def _undisturbed(seed: int) -> Iterator[None]:
    """What the interpreter shares with everything else in it: chance (engine/deliver.py draws its pauses
    from there), and when it collects garbage."""
    drawn_before, thresholds = random.getstate(), gc.get_threshold()
    random.seed(seed)
    gc.set_threshold(COLLECT_AFTER, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        random.setstate(drawn_before)


class World:
    def __init__(self, plan: Plan, servers: Servers) -> None:
        self.plan = plan
        self.loop = VirtualLoop()  # type: ignore[abstract]  # of the rest nothing is used
        self.trace = Trace(self.loop.time, keep=plan.trace_lines)
        self.unexpected: list[str] = []
        seed = str(plan.seed)
        server = Server(servers, self._now_ms, random.Random(f"{seed}/server"), self.trace)
        self.around = Surroundings(
            seed=seed,
            loop=self.loop,
            trace=self.trace,
            server=server,
            weather=Weather(),
            broker=Broker(self.loop, random.Random(f"{seed}/broker"), self.trace, Manners()),
            fleet=Fleet(self.loop, seed, self.trace),
            roads=Roads(),
            settings=Settings(
                data_dir=Path("/nonexistent"),
                secret_key=Secret("a simulated master key, as long as it must be"),
                boot_look_s=10.0,
                limits=plan.limits,
            ),
        )
        server.on_stops = self._hear_stops
        self.asked = Asked()
        self.crew = [self._member(f"w{n}", WORKER) for n in range(plan.workers)]
        self.crew += [self._member(f"b{n}", BEAT) for n in range(plan.beats)]
        self.callers = [Caller(self.around, f"caller{n}", ask, self.asked) for n, ask in enumerate(plan.asks)]
        mortal = self.callers if plan.callers_die else []
        self.storm = Storm(self.around, self.crew, mortal, self._successor, plan.severity)
        self.faults: list[Fault] = []

    def _now_ms(self) -> int:
        return BEGUN_MS + int(self.loop.now * 1_000)

    def _member(self, name: str, kind: str) -> Crew:
        return Crew(self.around, name, kind=kind, slots=self.plan.slots if kind == WORKER else 0)

    def _successor(self, dead: Crew) -> Crew:
        name, _, life = dead.name.partition("'")
        return self._member(f"{name}'{int(life or 0) + 1}", dead.kind)

    def _hear_stops(self, stops: Sequence[tuple[WorkerId, RunKey]]) -> None:
        """Pub/sub: to whoever is subscribed, perhaps."""
        for worker_id, key in stops:
            heard = self.around.subscribed.get(worker_id)
            if heard is not None and self.storm._chance.random() >= self.around.wake_ups_lost:
                self.loop.call_later(0.0005, heard.hear, key, context=WORLD)

    # -- the course of events

    async def run(self) -> Report:
        await self._set_up()
        for one in [*self.crew, *self.callers]:
            one.begin()
        self.storm.begin()
        self._look()
        await asyncio.sleep(self.plan.storm_s)
        self.storm.calm()
        calm_s = self.loop.now
        janitor = Janitor(self.around, "janitor")
        await janitor.process.run(janitor.stop_schedules(after_s=STOPPED_AFTER_S))
        settled = await self._settle()
        if settled:
            await asyncio.sleep(AFTERWARDS_S)
        return await self._report(calm_s, settled)

    async def _set_up(self) -> None:
        names = ids(self.plan.instances)
        for name in names:
            self.around.fleet.add(name)
        registrar = Registrar(self.around, "registrar")
        await registrar.process.run(registrar.register(names))

    async def _settle(self) -> float:
        """Until nothing is open; when that was. 0: it never came."""
        until = self.loop.now + CALM_WITHIN_S
        server = self.around.server
        while self.loop.now < until:
            open_ = server.ask("ZCARD", keys.OPEN) + server.ask("ZCARD", keys.SCHEDULES)
            if not open_ and not self.asked.unfinished:
                return self.loop.now
            await asyncio.sleep(1)
        return 0.0

    def _look(self) -> None:
        """Now and then, as anybody may who reads."""
        faults = wrong_tallies(self.around.server)
        if faults and not self.faults:
            self.trace.note("verdict", "wrong", *faults)
        self.faults += faults
        self.loop.call_later(self.plan.look_every_s, self._look, context=WORLD)

    async def _report(self, calm_s: float, settled_s: float) -> Report:
        around = self.around
        observer = Life(around, "observer")
        evidence = Evidence(
            plane=await observer.process.run(observer.plane()),
            server=around.server,
            fleet=around.fleet,
            broker=around.broker,
            asked=self.asked,
            lost=frozenset(self.storm.lost),
            begun_ms=BEGUN_MS,
            calm_ms=BEGUN_MS + int(1_000 * calm_s),
            looks_ms=around.server.looks_ms,
            unexpected=[*self.unexpected, *self.loop.unexpected],
        )
        faults = self.faults + await observer.process.run(verdict(evidence))
        return Report(
            seed=self.plan.seed,
            faults=list(dict.fromkeys(faults)),
            hash=self.trace.hash,
            trace=self.trace,
            ended=_ends(around.server),
            injected=self.storm.counts,
            starts=sum(around.fleet.starts.values()),
            calls=around.server.calls,
            virtual_s=self.loop.now,
            settled_s=settled_s - calm_s if settled_s else CALM_WITHIN_S,
        )


def _ends(server: Server) -> Counter[str]:
    """Runs by their state; those that nobody ever claimed have no record."""
    found: list[bytes] = server.ask("KEYS", f"{keys.RUN}*")
    statuses = server.ask_all([("HGET", name, "status") for name in found])
    return Counter(status.decode() for status in statuses if status)


@contextmanager
def _logged(trace: Trace) -> Iterator[list[str]]:
    """What the engine logs goes into the trace; what it did not expect is collected."""
    handler = _Collecting(trace)
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers[:]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers[:] = [handler]
    try:
        yield handler.unexpected
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


class _Collecting(logging.Handler):
    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self.unexpected: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        process = current_process()
        who = process.name if process is not None else "world"
        facts = [f"{name}={value}" for name, value in fields.items() if name != "worker"]
        self.trace.note(who, f"log:{record.getMessage()}", *facts)
        if record.levelno >= logging.ERROR and not _is_expected(record.getMessage(), fields):
            self.unexpected.append(f"{who} {record.getMessage()} {' '.join(facts)}")


def _is_expected(event: str, fields: dict[str, object]) -> bool:
    """A store that was away for longer than a call waits."""
    return event == "run_faulted" and fields.get("fault") in ("Broken", "StoreFull")
