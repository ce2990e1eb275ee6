"""The verdict sees what it is there to see: each rule, with a product, a host or a store that breaks it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.firing import Plan
from cloudassist_tasks.domain.outcome import HostWord
from cloudassist_tasks.engine import complete, reconcile
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.ports.transport import HostResult, HostState, Payload, Report
from cloudassist_tasks.store import keys
from tests.simulation import world
from tests.simulation.hosts import Machine
from tests.simulation.server import Servers
from tests.simulation.verdict import Fault
from tests.simulation.world import World, drawn, simulate

SEEDS = range(100, 112)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


def rules_broken(servers: Servers, wanted: str) -> set[str]:
    """By the first storms, until one breaks the rule that is asked about."""
    broken: set[str] = set()
    for seed in SEEDS:
        broken |= {fault.rule for fault in simulate(drawn(seed, instances=10), servers).faults}
        if wanted in broken:
            break
    return broken


def test_runs_of_the_dead_that_nobody_takes_up_stay_open(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(_: Worker) -> None: ...

    monkeypatch.setattr(reconcile, "_bury_the_dead", nobody)
    monkeypatch.setattr(reconcile, "expire_overdue", nobody)
    monkeypatch.setattr(world, "CALM_WITHIN_S", 120.0)

    assert "R1" in rules_broken(servers, "R1")


def test_a_host_that_keeps_no_record_starts_scripts_twice(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[[Machine, str, Payload], bool] = Machine.start
    monkeypatch.setattr(Machine, "state_of", lambda *_: HostState.ABSENT)

    def start_again(machine: Machine, run_id: str, payload: Payload) -> bool:
        machine.runs.pop(run_id, None)
        return start(machine, run_id, payload)

    monkeypatch.setattr(Machine, "start", start_again)

    assert "R2" in rules_broken(servers, "R2")


def test_an_acknowledged_invocation_that_the_store_drops_is_missed(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = World._report

    async def forgetful(self: World, calm_s: float, settled_s: float) -> world.Report:
        for invoke_id in self.asked.acknowledged:
            self.around.server.ask("DEL", keys.header(invoke_id))
            break
        return await report(self, calm_s, settled_s)

    monkeypatch.setattr(World, "_report", forgetful)

    assert "R3" in rules_broken(servers, "R3")


def test_a_stop_that_is_believed_without_looking_is_no_stop(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told_without_looking(machine: Machine, run_id: str, answer: Callable[[], None]) -> None:
        answer()

    def dead_in_words_only(machine: Machine, run_id: str, offset: int | None) -> Report:
        seen = look(machine, run_id, offset)
        killed = HostResult(word=HostWord.CANCELED, started_ago_ms=1)
        return Report(state=seen.state, boot_id=seen.boot_id, result=seen.result or killed)

    look = Machine.look
    monkeypatch.setattr(Machine, "stop", told_without_looking)
    monkeypatch.setattr(Machine, "look", dead_in_words_only)

    assert "R4" in rules_broken(servers, "R4")


def test_what_a_power_cut_took_is_not_believed(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `believed`, a run whose record is gone would be Cancelled though its script began."""
    stop, look = Machine.stop, Machine.look

    def forgotten(machine: Machine, run_id: str, answer: Callable[[], None]) -> None:
        machine.runs.pop(run_id, None)
        stop(machine, run_id, answer)

    def in_another_boot(machine: Machine, run_id: str, offset: int | None) -> Report:
        return replace(look(machine, run_id, offset), boot_id="another")

    def word_for_word(result: HostResult, *_: object) -> HostResult:
        return result

    monkeypatch.setattr(Machine, "stop", forgotten)
    monkeypatch.setattr(Machine, "look", in_another_boot)
    for module in ("execute", "collect", "overdue"):
        monkeypatch.setattr(f"cloudassist_tasks.engine.{module}.believed", word_for_word)
    assert complete.believed is not word_for_word

    assert "R4" in rules_broken(servers, "R4")


def test_times_that_are_passed_over_are_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = firing.plan

    def hasty(*args: object, **fields: object) -> Plan:
        return plan(*args, **{**fields, "late_ms": 0})  # type: ignore[arg-type]

    monkeypatch.setattr(firing, "plan", hasty)

    assert "R5" in rules_broken(servers, "R5")


def test_a_tally_that_is_one_off_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    report = World._report

    async def miscounted(self: World, calm_s: float, settled_s: float) -> world.Report:
        for invoke_id in self.asked.acknowledged:
            self.around.server.ask("HINCRBY", keys.tally(invoke_id), "Success", 1)
        return await report(self, calm_s, settled_s)

    monkeypatch.setattr(World, "_report", miscounted)

    assert "R6" in rules_broken(servers, "R6")


def test_a_fault_names_its_rule_and_what_it_is_about() -> None:
    assert str(Fault("R2", "t-1.i-1.0", "its script started 2 times")) == (
        "R2 t-1.i-1.0: its script started 2 times"
    )
