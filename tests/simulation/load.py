"""What callers ask for in a simulation: invocations with caps, timeouts and callbacks, schedules, stops.

A caller is a process too: it may die between the step that opened an invocation and the answer. What was
answered is written down; the verdict holds the store against it.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.domain.caps import NO_CAPS, Caps, Share
from cloudassist_tasks.domain.command import checked_command
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import Misfire, RepeatMode
from cloudassist_tasks.domain.status import OPEN, RunStatus
from cloudassist_tasks.engine.launch import LaunchRequest, launch
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.stop import stop
from cloudassist_tasks.store import keys
from tests.simulation.hosts import Work
from tests.simulation.processes import Life, Surroundings
from tests.simulation.server import Server

TRY_AGAIN_S = 1.0
MORE_THAN_IS_KEPT = 40_000


@dataclass(slots=True, kw_only=True)
class Ask:
    """One invocation: when, what, where; and when it is stopped, on which."""

    at_s: float
    work: Work
    members: Sequence[InstanceId]
    timeout_s: int
    caps: Caps = NO_CAPS
    repeat: RepeatMode = RepeatMode.ONCE
    frequency: str = ""
    jitter_s: int = 0
    misfire: Misfire = Misfire.SKIP
    callback: Callback | None = None
    stop_after_s: float | None = None
    stop_only: Sequence[InstanceId] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTold:
    """A stop that was acknowledged."""

    at_s: float
    open: Sequence[RunKey]
    """The runs it is about that had not ended at that moment."""


@dataclass(slots=True)
class Asked:
    """What the callers know."""

    wanted: dict[CommandId, Ask] = field(default_factory=dict)
    """By the command, of which each has one of its own, whether they heard of the invocation or not."""
    acknowledged: dict[InvokeId, Ask] = field(default_factory=dict)
    stops: list[StopTold] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    """Callers that are still at it, by name."""


def open_runs(server: Server, invoke_id: InvokeId, only: Sequence[InstanceId] | None = None) -> list[RunKey]:
    """What the store has of an invocation, all rounds of it, that has not ended; on these instances."""
    rounds: Sequence[int] = [0]
    if server.ask("HEXISTS", keys.header(invoke_id), "round"):
        rounds = [int(number) for number in server.ask("ZRANGE", keys.rounds(invoke_id), 0, -1)]
    found = [
        RunKey(invoke_id, InstanceId(member.decode()), round_)
        for round_ in rounds
        for member in server.ask("ZRANGE", keys.members(invoke_id, round_), 0, -1)
    ]
    about = [key for key in found if only is None or key.instance_id in only]
    statuses = server.ask_all([("HGET", keys.run(key), "status") for key in about])
    return [
        key
        for key, status in zip(about, statuses, strict=True)
        if RunStatus((status or b"Pending").decode()) in OPEN
    ]


class Caller(Life):
    """Makes one invocation, and stops it if that is asked for."""

    def __init__(self, around: Surroundings, name: str, ask: Ask, asked: Asked) -> None:
        super().__init__(around, name)
        self._ask = ask
        self._asked = asked

    def begin(self) -> None:
        self._asked.unfinished.add(self.name)
        self.process.run(self._call())

    def kill(self) -> None:
        self._asked.unfinished.discard(self.name)
        super().kill()

    async def _call(self) -> None:
        ask = self._ask
        await asyncio.sleep(ask.at_s)
        plane = await self._insist_on_plane()
        invoke_id = await self._launch(plane, ask)
        self._asked.acknowledged[invoke_id] = ask
        if ask.stop_after_s is not None:
            await asyncio.sleep(ask.stop_after_s)
            await self._stop(plane, invoke_id, ask.stop_only)
        self._asked.unfinished.discard(self.name)

    async def _insist_on_plane(self) -> Plane:
        while True:
            try:
                return await self.plane()
            except Broken:
                await asyncio.sleep(TRY_AGAIN_S)

    async def _launch(self, plane: Plane, ask: Ask) -> InvokeId:
        """With a token, so that a call whose answer was lost is not made twice."""
        command = checked_command(
            id=CommandId(self.new_id("c-")),
            type="RunShellScript",
            content=str(ask.work).encode(),
            name="simulated",
            kept=False,
        )
        self._asked.wanted[command.id] = ask
        request = LaunchRequest(
            command=command,
            instance_ids=ask.members,
            timeout_s=ask.timeout_s,
            caps=ask.caps,
            repeat_mode=ask.repeat,
            frequency=ask.frequency,
            jitter_s=ask.jitter_s,
            misfire=ask.misfire,
            callback=ask.callback,
            token=f"token-{self.name}",
            request_hash="same",
            max_instances=100_000,
        )
        while True:
            try:
                return (await launch(plane, request)).invoke_id
            except Broken:
                await asyncio.sleep(TRY_AGAIN_S)

    async def _stop(self, plane: Plane, invoke_id: InvokeId, only: Sequence[InstanceId] | None) -> None:
        while True:
            try:
                await stop(plane, invoke_id, only)
                break
            except Broken:
                await asyncio.sleep(TRY_AGAIN_S)
        left = open_runs(self.around.server, invoke_id, only)
        self._asked.stops.append(StopTold(at_s=self.around.loop.time(), open=left))


class Registrar(Life):
    """Registers the instances, before anything else."""

    async def register(self, ids: Sequence[InstanceId]) -> None:
        plane = await self.plane()
        for start in range(0, len(ids), 1_000):
            chunk = ids[start : start + 1_000]
            await plane.store.instances.add([Instance(id=id_, host="127.0.0.1") for id_ in chunk])


class Janitor(Life):
    """Stops what would go on for ever, since its caller died."""

    async def stop_schedules(self, *, after_s: float) -> None:
        await asyncio.sleep(after_s)
        plane = await self.plane()
        for invoke_id in await plane.store.schedules.open_ids(limit=1_000):
            await stop(plane, invoke_id)


def asks(chance: random.Random, ids: Sequence[InstanceId], *, storm_s: float) -> list[Ask]:
    """What the callers of one seed want."""
    wanted = [_once(chance, ids, storm_s) for _ in range(chance.randint(3, 6))]
    wanted += [_periodic(chance, ids, storm_s) for _ in range(chance.randint(0, 2))]
    if chance.random() < 0.5:
        wanted.append(_at_boots(chance, ids, storm_s))
    if chance.random() < 0.5:
        wanted.append(_long(chance, ids, storm_s))
    return wanted


def _some(chance: random.Random, ids: Sequence[InstanceId], most: int) -> Sequence[InstanceId]:
    return chance.sample(ids, chance.randint(1, min(most, len(ids))))


def _work(chance: random.Random) -> Work:
    least = chance.choice((0.05, 0.05, 0.4, 3.0))
    most = least + chance.choice((0.2, 2.0, 12.0, 60.0))
    size = chance.choice((0, 30, 600, 600, MORE_THAN_IS_KEPT))
    return Work(least, round(most, 2), chance.choice((0.0, 0.1, 0.5)), size)


def _callback(chance: random.Random) -> Callback | None:
    return Callback(task="told.of", queue="others") if chance.random() < 0.5 else None


def _once(chance: random.Random, ids: Sequence[InstanceId], storm_s: float) -> Ask:
    members = _some(chance, ids, len(ids))
    at_s = chance.uniform(0, storm_s * 0.7)
    stop_after_s = chance.uniform(0, 25) if chance.random() < 0.45 else None
    return Ask(
        at_s=at_s,
        work=_work(chance),
        members=members,
        timeout_s=chance.choice((5, 10, 25)),
        caps=Caps(
            max_concurrency=Share(chance.randint(2, 10)) if chance.random() < 0.3 else None,
            max_errors=Share(chance.randint(0, 5)) if chance.random() < 0.2 else None,
        ),
        callback=_callback(chance),
        stop_after_s=stop_after_s,
        stop_only=_some(chance, members, len(members)) if chance.random() < 0.3 else None,
    )


def _long(chance: random.Random, ids: Sequence[InstanceId], storm_s: float) -> Ask:
    """It ends by its stop; by nothing else until long after the storm."""
    return Ask(
        at_s=chance.uniform(0, storm_s * 0.7),
        work=Work(120.0, 180.0, 0.0, 600),
        members=_some(chance, ids, 6),
        timeout_s=300,
        callback=_callback(chance),
        stop_after_s=chance.uniform(1, 25),
    )


def _periodic(chance: random.Random, ids: Sequence[InstanceId], storm_s: float) -> Ask:
    return Ask(
        at_s=chance.uniform(0, 15),
        work=_work(chance),
        members=_some(chance, ids, 12),
        timeout_s=chance.choice((5, 10)),
        repeat=RepeatMode.PERIOD,
        frequency=chance.choice(("rate(10s)", "rate(17s)", "*/15 * * * * *")),
        jitter_s=chance.choice((0, 0, 4)),
        misfire=chance.choice(tuple(Misfire)),
        callback=_callback(chance),
        stop_after_s=storm_s + chance.uniform(-20, 10),
    )


def _at_boots(chance: random.Random, ids: Sequence[InstanceId], storm_s: float) -> Ask:
    return Ask(
        at_s=chance.uniform(0, 10),
        work=_work(chance),
        members=_some(chance, ids, 20),
        timeout_s=10,
        repeat=chance.choice((RepeatMode.EVERY_REBOOT, RepeatMode.NEXT_REBOOT_ONLY)),
        stop_after_s=storm_s + 15,
    )
