"""Simulated machines that keep the host's half of the protocol, and know what really happened on them.

A script starts only where its record is created, and one that was created is never created again; a stop of
what has not started is such a record too. Results stay until the machine forgets. What a power cut may take
away, it takes away. `Fleet` counts starts and ends as facts: the verdict holds the store against them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cloudassist_tasks.domain.boot import Boot
from cloudassist_tasks.domain.outcome import INSTANCE_REBOOTED, NOT_STARTED, HostWord
from cloudassist_tasks.ports.transport import (
    Ended,
    Event,
    HostResult,
    HostState,
    Output,
    Payload,
    Report,
    Started,
)
from tests.simulation.loop import WORLD, VirtualLoop
from tests.simulation.printing import printed
from tests.simulation.trace import Trace

TELL_START_AFTER_S = 0.3
"""A script that ends sooner has its start told with its end."""

UNWRITTEN_S = 3.0
"""What was written so short a time before a power cut may be lost."""

FOR_EVER_S = 1e9

PIECES = 3
"""In which a script's output comes, one after the other."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a simulated script does: its text is `work 0.1 20 fail 0.2 print 500`."""

    least_s: float
    most_s: float
    fail: float
    output_bytes: int

    @classmethod
    def parse(cls, text: str) -> "Work":
        _, least, most, _, fail, _, size = text.split()
        return cls(float(least), float(most), float(fail), int(size))

    def __str__(self) -> str:
        return f"work {self.least_s} {self.most_s} fail {self.fail} print {self.output_bytes}"


@dataclass(slots=True)
class OnHost:
    """The record of one run on its machine: that it exists is what keeps it from starting again."""

    run_id: str
    boot: int
    recorded_s: float
    started_s: float | None = None
    """None: it was stopped before it started, and never will."""
    output_bytes: int = 0
    written: int = 0
    orphan: bool = False
    result: HostResult | None = None
    ended_s: float = 0.0
    acknowledged: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    followers: list[Callable[[Event], None]] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    """Stops that answer once it has ended."""


@dataclass(slots=True)
class Fleet:
    """All machines, and the truth about them."""

    loop: VirtualLoop
    seed: str
    trace: Trace
    machines: "dict[str, Machine]" = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)
    """How often each run's script began."""
    truth: dict[str, HostResult] = field(default_factory=dict)
    """How each script that began really ended."""
    ended_s: dict[str, float] = field(default_factory=dict)
    """And when."""
    unkilled: float = 0.0
    """How often a kill leaves a process that cannot be killed."""
    no_space: float = 0.0
    reboots: int = 0
    refused: int = 0
    """How often a script came again and was not started."""

    def add(self, name: str) -> "Machine":
        self.machines[name] = machine = Machine(self, name)
        return machine

    def note_end(self, run_id: str, result: HostResult) -> None:
        """The first counts: what comes later is said of a script that is gone."""
        self.truth.setdefault(run_id, result)
        self.ended_s.setdefault(run_id, self.loop.now)


class Machine:
    """One host: its files outlive its boots."""

    __slots__ = (
        "boot",
        "booted_s",
        "dropped",
        "fleet",
        "name",
        "on_silence",
        "reachable",
        "refuses_login",
        "runs",
        "silent",
        "up",
    )

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet = fleet
        self.name = name
        self.boot = 1
        self.booted_s = fleet.loop.now - 1_000
        self.up = True
        self.reachable = True
        """Whether packets reach it."""
        self.refuses_login = False
        self.runs: dict[str, OnHost] = {}
        self.silent: list[tuple[float, float]] = []
        """From when to when it could not be reached."""
        self.dropped: list[float] = []
        """When it dropped or reset a connection."""
        self.on_silence: list[Callable[[bool], None]] = []
        """Connections to it: told when it says no more; True: it closed them in order."""

    @property
    def boot_id(self) -> str:
        return f"{self.name}/{self.boot}"

    def was_silent(self, from_s: float, to_s: float) -> bool:
        """At any moment between the two."""
        return any(begun < to_s and ended > from_s for begun, ended in self.silent)

    def was_rough(self, from_s: float, to_s: float) -> bool:
        """Connections to it were dropped or reset, three at least, between the two."""
        return sum(1 for at_s in self.dropped if from_s <= at_s <= to_s) >= 3

    def booted(self) -> Boot:
        return Boot(id=self.boot_id, up_ms=self._ago_ms(self.booted_s))

    @property
    def connected(self) -> bool:
        return self.up and self.reachable

    def state_of(self, run_id: str) -> HostState:
        run = self.runs.get(run_id)
        if run is None:
            return HostState.ABSENT
        self._notice_reboot(run)
        if run.result is not None:
            return HostState.DONE
        return HostState.ORPHAN if run.orphan else HostState.RUNNING

    # -- what the helper is asked to do

    def start(self, run_id: str, payload: Payload) -> bool:
        """Begin the script, unless there is a record already. False: there is no room for one."""
        if run_id in self.runs:
            self.fleet.refused += 1
            self.fleet.trace.note(self.name, "not-again", run_id)
            return True
        chance = random.Random(f"{self.fleet.seed}.{run_id}.{self.boot}")
        if chance.random() < self.fleet.no_space:
            return False
        work = Work.parse(payload.script.reveal().decode())
        now = self.fleet.loop.now
        run = self.runs[run_id] = OnHost(run_id, self.boot, now, now, work.output_bytes)
        self.fleet.starts[run_id] += 1
        self.fleet.trace.note(self.name, "started", run_id)
        lasts_s = chance.uniform(work.least_s, work.most_s)
        code = 0 if chance.random() >= work.fail else chance.choice((1, 2, 127))
        self._later(run, TELL_START_AFTER_S, self._tell_start, run)
        for piece in range(1, PIECES + 1 if work.output_bytes else 1):
            self._later(run, lasts_s * piece / (PIECES + 1), self._write, run, piece)
        self._later(run, lasts_s, self._exit, run_id, run, code)
        if payload.timeout_s:
            unkilled = chance.random() < self.fleet.unkilled
            timeout = HostResult(word=HostWord.TIMEOUT, unkilled=unkilled)
            self._later(run, float(payload.timeout_s), self._end, run_id, run, timeout)
        return True

    def stop(self, run_id: str, answer: Callable[[], None]) -> None:
        """Kill it, or record that it never starts; then answer."""
        run = self.runs.get(run_id)
        if run is None:
            now = self.fleet.loop.now
            self.runs[run_id] = run = OnHost(run_id, self.boot, now)
            run.result, run.ended_s = HostResult(word=HostWord.CANCELED, code=NOT_STARTED), now
            self.fleet.trace.note(self.name, "fenced", run_id)
        self._notice_reboot(run)
        if run.result is not None:
            answer()
            return
        run.waiting.append(answer)
        chance = random.Random(f"{self.fleet.seed}.{run_id}.stop")
        unkilled = chance.random() < self.fleet.unkilled
        killed = HostResult(word=HostWord.CANCELED, unkilled=unkilled)
        self._later(run, chance.uniform(0.02, 1.2), self._end, run_id, run, killed)

    def look(self, run_id: str, offset: int | None) -> Report:
        """`offset` None: without output."""
        run = self.runs.get(run_id)
        state = self.state_of(run_id)
        if run is None:
            return Report(state=state, boot_id=self.boot_id)
        return Report(
            state=state,
            boot_id=self.boot_id,
            output=() if offset is None else self.output(run, offset),
            result=self._told(run),
        )

    def follow(self, run_id: str, offset: int, tell: Callable[[Event], None]) -> None:
        """From now on, and what there is already."""
        run = self.runs[run_id]
        self._notice_reboot(run)
        if run.result is None and run.started_s is not None:
            if self.fleet.loop.now >= run.started_s + TELL_START_AFTER_S:
                tell(Started(ago_ms=self._ago_ms(run.started_s)))
            for piece in self.output(run, offset):
                tell(piece)
            run.followers.append(tell)
            return
        for piece in self.output(run, offset):
            tell(piece)
        tell(self._ended(run))

    def acknowledge(self, run_id: str) -> None:
        run = self.runs.get(run_id)
        if run is not None and run.result is not None:
            run.acknowledged = True

    # -- what happens to it

    def shut_down(self, *, orderly: bool) -> None:
        """It is gone until `boot_up`."""
        fleet, now = self.fleet, self.fleet.loop.now
        self.up = False
        fleet.reboots += 1
        fleet.trace.note(self.name, "down", "orderly" if orderly else "power-cut")
        chance = random.Random(f"{fleet.seed}.{self.boot_id}")
        for run_id, run in list(self.runs.items()):
            if run.result is None and orderly:
                self._end(run_id, run, HostResult(word=HostWord.SIGNALED, code="TERM"))
            elif run.result is None:
                self._drop_timers(run)
                fleet.note_end(run_id, HostResult(word=HostWord.LOST, code=INSTANCE_REBOOTED))
            if not orderly and now - run.recorded_s < UNWRITTEN_S and chance.random() < 0.5:
                fleet.trace.note(self.name, "record-lost", run_id)
                del self.runs[run_id]
            elif not orderly and now - run.ended_s < UNWRITTEN_S and chance.random() < 0.5:
                run.result = None  # what stands there is from another boot
        for run in self.runs.values():
            run.followers.clear()
            run.waiting.clear()
        self._fall_silent(orderly)

    def cut_off(self) -> None:
        """Nothing reaches it, until `reachable` is set again."""
        self.reachable = False
        self.fleet.trace.note(self.name, "cut-off")
        self._fall_silent(False)

    def heal(self) -> None:
        """Packets reach it again."""
        if not self.reachable:
            self.reachable = True
            self._speak()

    def _speak(self) -> None:
        if self.connected and self.silent:
            self.silent[-1] = (self.silent[-1][0], self.fleet.loop.now)

    def _fall_silent(self, orderly: bool) -> None:
        if not self.silent or self.silent[-1][1] < self.fleet.loop.now:
            self.silent.append((self.fleet.loop.now, FOR_EVER_S))
        for tell in list(self.on_silence):
            tell(orderly)

    def boot_up(self) -> None:
        self.boot += 1
        self.booted_s = self.fleet.loop.now
        self.up = True
        self.fleet.trace.note(self.name, "up", self.boot_id)
        self._speak()

    def lose_supervisor(self, run_id: str) -> None:
        """Somebody kills the process that waits for the script; the script goes on."""
        run = self.runs.get(run_id)
        if run is not None and run.result is None and run.started_s is not None:
            run.orphan = True
            self.fleet.trace.note(self.name, "orphaned", run_id)

    # -- inside

    def output(self, run: OnHost, offset: int) -> list[Output]:
        if run.acknowledged or run.boot != self.boot or run.written <= offset:
            return []
        return [Output(offset=offset, data=printed(run.run_id, run.written)[offset:])]

    def _notice_reboot(self, run: OnHost) -> None:
        if run.result is None and run.boot != self.boot:
            run.result = HostResult(word=HostWord.LOST, code=INSTANCE_REBOOTED)
            run.ended_s = self.fleet.loop.now

    def _later(self, run: OnHost, in_s: float, what: Callable[..., None], *args: object) -> None:
        run.timers.append(self.fleet.loop.call_later(in_s, what, *args, context=WORLD))

    def _drop_timers(self, run: OnHost) -> None:
        for timer in run.timers:
            timer.cancel()
        run.timers.clear()

    def _tell_start(self, run: OnHost) -> None:
        assert run.started_s is not None
        for tell in list(run.followers):
            tell(Started(ago_ms=self._ago_ms(run.started_s)))

    def _write(self, run: OnHost, piece: int) -> None:
        before, run.written = run.written, run.output_bytes * piece // PIECES
        if run.written > before:
            for tell in list(run.followers):
                tell(Output(offset=before, data=printed(run.run_id, run.written)[before:]))

    def _exit(self, run_id: str, run: OnHost, code: int) -> None:
        if run.orphan:
            lost = HostResult(word=HostWord.LOST, code="SupervisorKilled")
            self._end(run_id, run, lost)
        else:
            self._end(run_id, run, HostResult(word=HostWord.EXITED, exit_code=code))

    def _end(self, run_id: str, run: OnHost, result: HostResult) -> None:
        if run.result is not None or run.boot != self.boot:
            return
        self._drop_timers(run)
        run.result, run.ended_s = result, self.fleet.loop.now
        self.fleet.note_end(run_id, result)
        self.fleet.trace.note(self.name, "ended", run_id, result.word, result.exit_code)
        ended = self._ended(run)
        for tell in run.followers:
            tell(ended)
        for answer in run.waiting:
            answer()
        run.followers, run.waiting = [], []

    def _ended(self, run: OnHost) -> Ended:
        result = self._told(run)
        assert result is not None
        return Ended(result=result)

    def _told(self, run: OnHost) -> HostResult | None:
        """The result, with its times as they look now."""
        result = run.result
        if result is None:
            return None
        return HostResult(
            word=result.word,
            code=result.code,
            exit_code=result.exit_code,
            unkilled=result.unkilled,
            total_bytes=run.written,
            started_ago_ms=None if run.started_s is None else self._ago_ms(run.started_s),
            ended_ago_ms=self._ago_ms(run.ended_s),
        )

    def _ago_ms(self, at_s: float) -> int:
        return int(1_000 * (self.fleet.loop.now - at_s))
