"""The storm: what goes wrong in one simulation and when, all drawn from its seed.

Faults happen to the world, in virtual time, until the calm. Then everything that can be well is well again;
machines that were lost for good stay lost.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.hosts import Machine
from tests.simulation.load import Caller
from tests.simulation.loop import WORLD, State
from tests.simulation.processes import Crew, Surroundings

STEPS = (
    *("claim_run", "claim_run", "commit_launching", "commit_launching", "commit_launching", "start_run"),
    *("finish_run", "finish_run", "give_back", "record_output", "reserve_batch", "stop_runs", "take_from"),
    *("bury_worker", "open_round", "open_round", "end_parts", "abort_unclaimed", "fence_run", "note_boot"),
)
"""At which a process is waited for; some more often."""
FATES = ("kill", "pause", "cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class Severity:
    """How bad one storm is; drawn per seed, so that quiet ones and wild ones come up."""

    every_s: float
    """Between two faults, on average."""
    lost_forever: float
    """The share of machines that never come back."""
    focus: tuple[str, str] | None = None
    """The step and the fate that every second fault of this storm waits for."""

    @classmethod
    def drawn(cls, chance: random.Random) -> "Severity":
        return cls(
            every_s=chance.choice((1.0, 2.5, 6.0)),
            lost_forever=chance.choice((0.0, 0.0, 0.05)),
            focus=(chance.choice(STEPS), chance.choice(FATES)) if chance.random() < 0.5 else None,
        )


class Storm:
    """Blows from its first fault until `calm`."""

    def __init__(
        self,
        around: Surroundings,
        crew: list[Crew],
        callers: Sequence[Caller],
        replace: Callable[[Crew], Crew],
        severity: Severity,
    ) -> None:
        self.around = around
        self.crew = crew
        self.callers = callers
        self.severity = severity
        self.counts: Counter[str] = Counter()
        self.lost: set[str] = set()
        self._replace = replace
        self._chance = around.chance("storm")
        self._over = False
        self._ambush: tuple[str, str] | None = None
        around.server.on_step = self._on_step
        self._kinds: Sequence[tuple[int, Callable[[], None]]] = (
            (6, self._kill),
            (4, self._pause),
            (2, self._drain),
            (2, self._revoke),
            (2, self._cut_from_store),
            (1, self._store_down),
            (2, self._broker_down),
            (1, self._broker_emptied),
            (5, self._reboot),
            (5, self._cut_off_machine),
            (3, self._orphan),
            (1, self._flush_scripts),
            (1, self._kill_caller),
            (6, self._lie_in_wait),
        )

    def begin(self) -> None:
        chance, around = self._chance, self.around
        around.weather.slow = chance.choice((0.0, 0.02))
        around.weather.lost_request = chance.choice((0.0, 0.003, 0.02))
        around.weather.lost_answer = chance.choice((0.0, 0.003, 0.02))
        around.weather.swallowed = chance.choice((0.0, 0.0005))
        around.broker.manners.lost = chance.choice((0.0, 0.05, 0.3))
        around.broker.manners.twice = chance.choice((0.0, 0.1, 0.5))
        around.broker.manners.late = chance.choice((0.0, 0.05))
        around.roads.slow = chance.choice((0.0, 0.02))
        around.roads.reset = chance.choice((0.0, 0.002, 0.02))
        around.roads.dropped = chance.choice((0.0, 0.05))
        around.wake_ups_lost = chance.choice((0.0, 0.5))
        around.fleet.unkilled = chance.choice((0.0, 0.02))
        around.fleet.no_space = chance.choice((0.0, 0.01))
        for machine in around.fleet.machines.values():
            machine.refuses_login = chance.random() < 0.01
        self._next()

    def calm(self) -> None:
        """No more faults; whatever can be mended is."""
        around = self.around
        self._over = True
        self._note("calm")
        weather, manners, roads = around.weather, around.broker.manners, around.roads
        weather.slow = weather.lost_request = weather.lost_answer = weather.swallowed = 0.0
        weather.store_up = True
        manners.lost = manners.twice = manners.late = 0.0
        manners.up = True
        roads.slow = roads.reset = roads.dropped = 0.0
        for one in [*self.crew, *self.callers]:
            one.wire.cut = False
            one.process.resume()
        for one in list(self.crew):
            if one.process.state is State.DEAD:
                self._restart(one)
        for machine in around.fleet.machines.values():
            if machine.name not in self.lost:
                machine.heal()
                if not machine.up:
                    machine.boot_up()

    # -- one after the other

    def _later(self, in_s: float, what: Callable[..., None], *args: object) -> None:
        self.around.loop.call_later(in_s, self._unless_over, what, args, context=WORLD)

    def _unless_over(self, what: Callable[..., None], args: Sequence[object]) -> None:
        if not self._over:
            what(*args)

    def _next(self) -> None:
        self._later(self._chance.expovariate(1 / self.severity.every_s), self._strike)

    def _strike(self) -> None:
        if self.severity.focus is not None and self._chance.random() < 0.5:
            self._ambush = self.severity.focus
            self._next()
            return
        weights = [weight for weight, _ in self._kinds]
        (kind,) = self._chance.choices([what for _, what in self._kinds], weights)
        kind()
        self._next()

    def _note(self, what: str, about: str = "") -> None:
        self.counts[what] += 1
        self.around.trace.note("storm", what, about)

    # -- processes

    def _alive(self) -> list[Crew]:
        return [one for one in self.crew if one.process.state is State.ALIVE]

    def _kill(self) -> None:
        if alive := self._alive():
            one = self._chance.choice(alive)
            self._note("kill", one.name)
            self._kill_one(one)

    def _kill_one(self, one: Crew) -> None:
        one.kill()
        self._later(self._chance.uniform(0.5, 15), self._restart, one)

    def _restart(self, dead: Crew) -> None:
        if dead in self.crew and dead.process.state is State.DEAD:
            self.crew[self.crew.index(dead)] = fresh = self._replace(dead)
            fresh.begin()

    def _pause(self) -> None:
        if alive := self._alive():
            one = self._chance.choice(alive)
            self._note("pause", one.name)
            self._pause_one(one)

    def _pause_one(self, one: Crew) -> None:
        one.process.pause()
        in_s = self._chance.choice((1, 5, 12, 25, 40)) * self._chance.uniform(0.7, 1.3)
        self._later(in_s, self._resume, one)

    def _resume(self, one: Crew) -> None:
        self._note("resume", one.name)
        one.process.resume()

    def _drain(self) -> None:
        if alive := self._alive():
            one = self._chance.choice(alive)
            self._note("drain", one.name)
            one.drain()
            self._later(self._chance.uniform(1, 20), self._restart_drained, one)

    def _restart_drained(self, one: Crew) -> None:
        if one.process.state is not State.DEAD:  # it took too long: the supervisor's patience ends
            one.process.resume()
            one.kill()
        self._restart(one)

    def _revoke(self) -> None:
        """Somebody has Celery cancel a task; that is no stop of the run."""
        if alive := [one for one in self._alive() if one.carrying]:
            one = self._chance.choice(alive)
            message = self._chance.choice(list(one.carrying))
            self._note("revoke", str(message))
            one.process.call(one.carrying[message].cancel)

    def _kill_caller(self) -> None:
        if alive := [one for one in self.callers if one.process.alive]:
            one = self._chance.choice(alive)
            self._note("kill-caller", one.name)
            one.kill()

    def _lie_in_wait(self) -> None:
        """For one of the moments at which a death costs most: between a step of the store and its answer."""
        self._ambush = self._chance.choice(STEPS), self._chance.choice(FATES)

    def _on_step(self, who: str, what: str) -> None:
        if self._over or self._ambush is None or self._ambush[0] != what:
            return
        if one := next((one for one in self._alive() if one.name == who), None):
            how = self._ambush[1]
            self._ambush = None
            self._note(f"{how}-at-{what}", who)
            match how:
                case "kill":
                    self._kill_one(one)
                case "pause":
                    self._pause_one(one)
                case _:
                    self._cut_one(one)

    # -- store and broker

    def _cut_from_store(self) -> None:
        one = self._chance.choice(self.crew)
        self._note("cut-from-store", one.name)
        self._cut_one(one)

    def _cut_one(self, one: Crew) -> None:
        one.wire.cut = True
        self._later(self._chance.choice((0.3, 3, 8, 15, 30)), setattr, one.wire, "cut", False)

    def _store_down(self) -> None:
        self._note("store-down")
        self.around.weather.store_up = False
        self._later(self._chance.choice((0.2, 1.5, 6, 13)), setattr, self.around.weather, "store_up", True)

    def _broker_down(self) -> None:
        self._note("broker-down")
        self.around.broker.manners.up = False
        self._later(self._chance.choice((0.5, 5, 20)), setattr, self.around.broker.manners, "up", True)

    def _broker_emptied(self) -> None:
        self._note("broker-emptied", str(self.around.broker.empty()))

    def _flush_scripts(self) -> None:
        self._note("scripts-flushed")
        self.around.server.ask("SCRIPT", "FLUSH")

    # -- machines

    def _machine(self) -> Machine | None:
        well = [one for one in self.around.fleet.machines.values() if one.connected]
        return self._chance.choice(well) if well else None

    def _reboot(self) -> None:
        if (machine := self._machine()) is not None:
            self._note("reboot", machine.name)
            machine.shut_down(orderly=self._chance.random() < 0.4)
            self._later(self._chance.uniform(1, 30), self._boot_up, machine)

    def _boot_up(self, machine: Machine) -> None:
        if not machine.up:
            machine.boot_up()

    def _cut_off_machine(self) -> None:
        if (machine := self._machine()) is not None:
            machine.cut_off()
            if self._chance.random() < self.severity.lost_forever:
                self.lost.add(machine.name)
                self._note("lost-for-good", machine.name)
            else:
                self._note("cut-off", machine.name)
                self._later(self._chance.choice((2, 10, 45)), machine.heal)

    def _orphan(self) -> None:
        if (machine := self._machine()) is not None:
            going = [run_id for run_id, run in machine.runs.items() if run.result is None]
            if going:
                self._note("supervisor-killed")
                machine.lose_supervisor(self._chance.choice(going))
