"""The verdict sees what it is there to see: each rule, with a product, a host or a store that breaks it."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.caps import Caps
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.firing import Plan
from cloudassist_tasks.domain.ids import CommandId, InstanceId
from cloudassist_tasks.domain.outcome import NOT_STARTED, HostWord, Outcome, outcome_of
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import complete, reconcile
from cloudassist_tasks.engine.launch import LaunchRequest, launch
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.ports.invocations import Opened
from cloudassist_tasks.ports.transport import HostResult, HostState, Payload, Report
from cloudassist_tasks.store import keys
from tests.simulation import hosts, load, world
from tests.simulation.broker import SimulatedDispatch
from tests.simulation.hosts import Machine
from tests.simulation.load import Caller
from tests.simulation.printing import is_part, is_whole, printed
from tests.simulation.server import Server, Servers
from tests.simulation.verdict import Fault
from tests.simulation.world import World, drawn, simulate

SEEDS = range(100, 112)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


def rules_broken(servers: Servers, wanted: str, saying: str = "") -> set[str]:
    """By the first storms, until one breaks the rule that is asked about; with these words."""
    broken: set[str] = set()
    for seed in SEEDS:
        faults = simulate(drawn(seed, instances=10), servers).faults
        broken |= {fault.rule for fault in faults if saying in fault.what}
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
    monkeypatch.setattr(world, "CALM_WITHIN_S", 60.0)

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


def test_a_stop_that_is_acknowledged_and_asked_of_nobody_is_seen(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(load, "stop", nothing)
    monkeypatch.setattr(world, "CALM_WITHIN_S", 60.0)

    assert "R4" in rules_broken(servers, "R4", "its stop was acknowledged")


def test_a_script_that_goes_on_long_after_its_stop_is_seen(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unkillable(machine: Machine, run_id: str, answer: Callable[[], None]) -> None:
        if run_id in machine.runs:
            answer()
        else:
            stop(machine, run_id, answer)

    stop = Machine.stop
    monkeypatch.setattr(Machine, "stop", unkillable)
    monkeypatch.setattr("cloudassist_tasks.engine.reconcile.expire_overdue", _asleep)

    assert "R4" in rules_broken(servers, "R4", "past its stop")


async def _asleep(_: Worker) -> None: ...


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


def test_a_cap_that_is_exceeded_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch is reserved the cap stands higher."""
    one = Server._one

    def lavish(server: Server, who: str, words: list[bytes]) -> object:
        at_once = None
        if len(words) > 3 and server._names.get(words[1]) == "reserve_batch":
            at_once = server.ask("HGET", words[3], "at_once")
        if at_once is None:
            return one(server, who, words)
        server.ask("HSET", words[3], "at_once", 1_000)
        reply = one(server, who, words)
        server.ask("HSET", words[3], "at_once", at_once)
        return reply

    monkeypatch.setattr(Server, "_one", lavish)

    assert "caps" in rules_broken(servers, "caps", "in hand, ")


def test_a_cap_that_is_not_stored_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Caps, "at_once", lambda *_: 1_000)

    assert "caps" in rules_broken(servers, "caps", "were asked for")


def test_a_close_that_nobody_is_told_of_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object) -> None: ...

    monkeypatch.setattr(SimulatedDispatch, "publish_callback", lost)

    assert "told" in rules_broken(servers, "told")


def test_a_slot_that_is_never_given_back_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    report = World._report

    async def kept(self: World, calm_s: float, settled_s: float) -> world.Report:
        self.around.server.ask("SADD", keys.slots(InstanceId("i-1")), "t-x.i-1.0")
        return await report(self, calm_s, settled_s)

    monkeypatch.setattr(World, "_report", kept)

    assert "left" in rules_broken(servers, "left")


def test_an_error_without_a_cause_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_up(*_: object, **__: object) -> Outcome:
        return Outcome(status=RunStatus.ERROR, error_code=ErrorCode.EXECUTION_INTERRUPTED, error_info="?")

    monkeypatch.setattr(complete, "outcome_of", made_up)

    assert "untrue" in rules_broken(servers, "untrue")


def test_a_stop_that_is_called_a_timeout_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_timeout(word: HostWord, **fields: Any) -> Outcome:
        stopped = word is HostWord.CANCELED and fields["code"] != NOT_STARTED
        return outcome_of(HostWord.TIMEOUT if stopped else word, **fields)

    monkeypatch.setattr(complete, "outcome_of", as_timeout)

    assert "R4" in rules_broken(servers, "R4", "is Timeout")


def test_as_much_output_with_other_words_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "printed", lambda _, size: printed("t-another.i-1.0", size))

    assert "output" in rules_broken(servers, "output")


def test_a_fault_of_ours_that_is_only_logged_is_seen(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Worker) -> None:
        raise ValueError("of ours")

    monkeypatch.setattr(reconcile, "_bury_the_dead", broken)
    monkeypatch.setattr(world, "CALM_WITHIN_S", 60.0)

    assert "unexpected" in rules_broken(servers, "unexpected")


def test_one_call_that_opens_two_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(plane: Plane, request: LaunchRequest) -> Opened:
        await launch(plane, replace(request, token=f"{request.token}-2"))
        return await launch(plane, request)

    monkeypatch.setattr(load, "launch", twice)

    assert "token" in rules_broken(servers, "token", "has opened")


def test_an_invocation_that_nobody_asked_for_is_seen(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def more(plane: Plane, request: LaunchRequest) -> Opened:
        other = replace(request.command, id=CommandId(plane.new_id("c-")))
        await launch(plane, replace(request, command=other, token=f"{request.token}-2"))
        return await launch(plane, request)

    monkeypatch.setattr(load, "launch", more)

    assert "token" in rules_broken(servers, "token", "nobody asked for")


def test_a_caller_who_never_gets_an_answer_is_seen(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Caller) -> Plane:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    monkeypatch.setattr(Caller, "_insist_on_plane", never)
    monkeypatch.setattr(world, "CALM_WITHIN_S", 60.0)

    assert "unanswered" in rules_broken(servers, "unanswered")


def test_output_that_lacks_its_end_is_part_and_not_whole() -> None:
    said = printed("t-1.i-1.0", 40_000)
    kept, moved = BoundedOutput(), BoundedOutput()
    kept.add(0, said[:30_000])
    moved.add(0, said[:30_000])
    moved.tail = moved.tail[:-10] + said[:10]

    assert is_part(kept, said)
    assert not is_whole(kept, said)
    assert not is_part(moved, said)


def test_a_fault_names_its_rule_and_what_it_is_about() -> None:
    assert str(Fault("R2", "t-1.i-1.0", "its script started 2 times")) == (
        "R2 t-1.i-1.0: its script started 2 times"
    )
