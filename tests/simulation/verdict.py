"""Whether what must never happen has happened: the store is held against what the machines know.

R1 every run ends; R2 no script starts twice; R3 nothing acknowledged is lost; R4 a stop is what it looks
like; R5 a schedule's times fire once each or are recorded as missed; R6 tallies equal a fold over the runs.
Beside them: nothing is left behind in the store, everybody is told, and nothing went wrong that nobody
expected.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.delivery import delivery_id
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import RepeatMode, Run, Why
from cloudassist_tasks.domain.outcome import HostWord
from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus
from cloudassist_tasks.engine.cancel import REST_WITHIN_S
from cloudassist_tasks.engine.overdue import FENCE_WITHIN_S
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import times_of
from cloudassist_tasks.store import keys
from tests.simulation.broker import Broker
from tests.simulation.hosts import Fleet
from tests.simulation.load import Ask, Asked, StopTold
from tests.simulation.printing import is_part, is_whole, printed
from tests.simulation.server import Server

NEVER_STARTED = frozenset({RunStatus.CANCELLED, RunStatus.ABORTED})
BY_ITSELF = frozenset({RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.TIMEOUT})
STOPPED_WITHIN_S = 45.0
"""After the calm a stop has reached its script in that time: a lease, a look, and a host that is tried."""
LATE_MS = 60_000
"""How long after its deadline (and after the calm) an overdue run may take to end: it is handed out again
should whoever took it have died, and its host is asked once more, for 20 s."""

NOTICED_MS = 9_000
"""A time that is due so long is not missed yet."""
LONGEST_PAUSE_S = 55.0
"""A process that is stopped while it tries to reach a host finds, afterwards, its time over."""
ENOUGH_LOOKS = 8
"""Of a beat, which each may have been cut short."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that must never happen, and has."""

    rule: str
    about: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} {self.about}: {self.what}"


def wrong_tallies(server: Server) -> list[Fault]:
    """R6, at any moment: the tally of each fan-out that was ever opened, against its runs."""
    faults: list[Fault] = []
    for entry in server.ask("ZRANGE", keys.INVOCATIONS, 0, -1):
        of = keys.round_of(entry)
        if server.ask("HEXISTS", keys.header(of.invoke_id), "round"):  # a schedule: it is counted in rounds
            numbers = server.ask("ZRANGE", keys.rounds(of.invoke_id), 0, -1)
            rounds = [RoundKey(of.invoke_id, int(number)) for number in numbers]
        else:
            rounds = [of]
        faults += [fault for one in rounds for fault in _wrong_tally(server, one)]
    return faults


def _wrong_tally(server: Server, of: RoundKey) -> Iterator[Fault]:
    flat, members, at_once, unpublished = server.ask_all(
        [
            ("HGETALL", keys.tally(of.invoke_id, of.round)),
            ("ZRANGE", keys.members(of.invoke_id, of.round), 0, -1),
            ("HGET", keys.header(of.invoke_id, of.round), "at_once"),
            ("ZCARD", keys.unpublished(of.invoke_id, of.round)),
        ]
    )
    if not members:
        return  # a round that left everybody out
    tally = {field.decode(): value.decode() for field, value in zip(flat[::2], flat[1::2], strict=True)}
    counted = {status: int(tally[status]) for status in RunStatus if int(tally.get(status, 0))}
    runs = [RunKey(of.invoke_id, InstanceId(member.decode()), of.round) for member in members]
    found = server.ask_all([("HGET", keys.run(key), "status") for key in runs])
    fold = Counter(RunStatus((status or b"Pending").decode()) for status in found)
    if dict(fold) != counted:
        yield Fault("R6", str(of), f"the tally says {counted}, the runs are {dict(fold)}")
    open_ = sum(fold[status] for status in OPEN)
    if int(tally.get("open", 0)) != open_:
        yield Fault("R6", str(of), f"the tally says {tally.get('open')} open, {open_} are")
    in_hand = open_ - unpublished
    if at_once is not None and in_hand > int(at_once):
        yield Fault("caps", str(of), f"{in_hand} in hand, {int(at_once)} may be")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict is made from, once everything has settled."""

    plane: Plane
    server: Server
    fleet: Fleet
    broker: Broker
    asked: Asked
    lost: frozenset[str]
    """Machines that never came back."""
    begun_ms: int
    """The store's time when the simulation began."""
    calm_ms: int
    looks_ms: Sequence[int]
    """When a beat looked for what is due."""
    unexpected: Sequence[str]

    def simulated_s(self, at_ms: int) -> float:
        return (at_ms - self.begun_ms) / 1_000


async def verdict(evidence: Evidence) -> list[Fault]:
    """All that is wrong; nothing, if all is well."""
    faults = [Fault("unexpected", "", what) for what in evidence.unexpected]
    faults += wrong_tallies(evidence.server)
    faults += [
        Fault("R2", run_id, f"its script started {count} times")
        for run_id, count in evidence.fleet.starts.items()
        if count > 1
    ]
    faults += [
        Fault("unanswered", name, "has no answer to this day") for name in sorted(evidence.asked.unfinished)
    ]
    opened = await _opened(evidence)
    faults += _unasked(evidence, opened)
    for invoke_id, ask in {**opened, **evidence.asked.acknowledged}.items():
        faults += await _of_invocation(evidence, invoke_id, ask) if ask is not None else []
    for told in evidence.asked.stops:
        faults += await _of_stop(evidence, told)
    faults += _left_behind(evidence)
    return faults


async def _opened(evidence: Evidence) -> dict[InvokeId, Ask | None]:
    """Every invocation in the store, and what was asked for with its command; None: nobody asked for it.
    Who asked may be dead."""
    asked: dict[InvokeId, Ask | None] = {}
    for entry in evidence.server.ask("ZRANGE", keys.INVOCATIONS, 0, -1):
        invocation = await evidence.plane.store.invocations.get(keys.round_of(entry).invoke_id)
        if invocation is not None:
            asked[invocation.spec.id] = evidence.asked.wanted.get(invocation.spec.command.id)
    return asked


def _unasked(evidence: Evidence, opened: Mapping[InvokeId, Ask | None]) -> Iterator[Fault]:
    """Each call has a token: it opens one invocation, however often it is made."""
    by_call: defaultdict[int, list[InvokeId]] = defaultdict(list)
    for invoke_id, ask in {**opened, **evidence.asked.acknowledged}.items():
        if ask is None:
            yield Fault("token", invoke_id, "nobody asked for it")
        else:
            by_call[id(ask)].append(invoke_id)
    for ids in by_call.values():
        if len(ids) > 1:
            yield Fault("token", ids[0], f"one call with one token has opened {ids}")


async def _of_stop(evidence: Evidence, told: StopTold) -> list[Fault]:
    """R4: who was told that a run is being stopped can rely on it."""
    faults = []
    for key in told.open:
        run = await evidence.plane.store.runs.get(key)
        if run is None or not run.stop_requested:
            faults.append(
                Fault("R4", key.run_id, f"its stop was acknowledged, not asked for; is {run and run.status}")
            )
        elif run.status in BY_ITSELF and key.instance_id not in evidence.lost:
            due_s = max(told.at_s, evidence.simulated_s(evidence.calm_ms)) + STOPPED_WITHIN_S
            if (late_s := evidence.fleet.ended_s.get(key.run_id, 0.0) - due_s) > 0:
                faults.append(Fault("R4", key.run_id, f"is {run.status} {late_s:.0f} s past its stop"))
    return faults


async def _of_invocation(evidence: Evidence, invoke_id: InvokeId, ask: Ask) -> list[Fault]:
    plane = evidence.plane
    invocation = await plane.store.invocations.get(invoke_id)
    if invocation is None:
        return [Fault("R3", invoke_id, "was acknowledged and is gone")]
    if invocation.total != len(ask.members):
        return [Fault("R3", invoke_id, f"has {invocation.total} members, {len(ask.members)} were asked for")]
    faults: list[Fault] = []
    at_once = evidence.server.ask("HGET", keys.header(invoke_id), "at_once")
    cap = ask.caps.max_concurrency.of(len(ask.members)) if ask.caps.max_concurrency else None
    if (at_once and int(at_once)) != (cap if cap and cap < len(ask.members) else None):
        faults.append(Fault("caps", invoke_id, f"{at_once!r} may be in hand, {cap} were asked for"))
    if not invocation.finish_ms:
        faults.append(Fault("R1", invoke_id, f"is open: {dict(invocation.tally)}"))
    if invocation.repetition is None:
        faults += _untold(evidence, ask, invoke_id, 0)
        runs = await plane.store.runs.get_many(invoke_id, ask.members)
        return faults + [fault for run in runs for fault in await _of_run(evidence, run, ask)]
    rounds = await plane.store.schedules.rounds(invoke_id, limit=10_000)
    for round_ in rounds:
        faults += _untold(evidence, ask, invoke_id, round_.round) if round_.total else []
        ids = await plane.store.invocations.members(invoke_id, round=round_.round, limit=10_000)
        for run in await plane.store.runs.get_many(invoke_id, ids, round=round_.round):
            faults += await _of_run(evidence, run, ask)
    if ask.repeat is RepeatMode.PERIOD:
        faults += await _of_ticks(evidence, invoke_id)
    else:
        faults += await _of_boots(evidence, invoke_id)
    return faults


def _untold(evidence: Evidence, ask: Ask, invoke_id: InvokeId, round_: int) -> list[Fault]:
    if ask.callback is None or evidence.broker.told[delivery_id(invoke_id, round_)]:
        return []
    return [Fault("told", f"{invoke_id}.{round_}", "nobody was told of its close")]


async def _of_run(evidence: Evidence, run: Run, ask: Ask) -> list[Fault]:
    return [*_of_end(evidence, run, ask), *await _of_output(evidence, run)]


async def _of_output(evidence: Evidence, run: Run) -> list[Fault]:
    """Of what ended by itself or by its timeout: to the byte, unless its host went down since, or fell silent
    between the word of its end and the rest of its output."""
    run_id, machine = run.key.run_id, evidence.fleet.machines[run.key.instance_id]
    on_host = machine.runs.get(run_id)
    if run.status not in BY_ITSELF or on_host is None:
        return []
    (kept,) = await evidence.plane.store.runs.output([run.key])
    whole = printed(run_id, on_host.written)
    told_s = evidence.simulated_s(run.update_ms)
    lost = on_host.boot != machine.boot or (
        "could not be had" in run.error_info and machine.was_silent(told_s - REST_WITHIN_S, told_s)
    )
    if run.output_bytes == kept.total and (is_part if lost else is_whole)(kept, whole):
        return []
    what = f"{kept.total} bytes, {len(kept.head)} and {len(kept.tail)} kept, are not the {len(whole)} printed"
    return [Fault("output", run_id, what)]


def _of_end(evidence: Evidence, run: Run, ask: Ask) -> Iterator[Fault]:
    run_id = run.key.run_id
    starts, truth = evidence.fleet.starts[run_id], evidence.fleet.truth.get(run_id)
    if run.status not in FINAL:
        yield Fault("R1", run_id, f"is {run.status} ({run.phase}, held by {run.worker}), for ever")
        return
    if run.launch_ms:
        deadline_ms = run.launch_ms + 1_000 * (ask.timeout_s + evidence.plane.limits.grace_s)
        if run.stop_ms:
            deadline_ms = max(deadline_ms, run.stop_ms + 1_000 * evidence.plane.limits.grace_s)
        if run.finish_ms > max(deadline_ms, evidence.calm_ms) + LATE_MS:
            late_s = (run.finish_ms - max(deadline_ms, evidence.calm_ms)) / 1_000
            yield Fault("R1", run_id, f"ended {run.status} {late_s:.1f} s past its deadline")
    if run.status in NEVER_STARTED and starts:
        yield Fault("R4", run_id, f"is {run.status}, and its script was started")
    word = truth.word if truth is not None else None
    match run.status:
        case RunStatus.TERMINATED if truth is None or word is not HostWord.CANCELED or truth.unkilled:
            yield Fault("R4", run_id, f"is Terminated; on its host: {truth}")
        case RunStatus.SUCCESS | RunStatus.FAILED if (
            truth is None or word is not HostWord.EXITED or truth.exit_code != run.exit_code
        ):
            yield Fault("R4", run_id, f"is {run.status} ({run.exit_code}); on its host: {truth}")
        case RunStatus.TIMEOUT if word is not HostWord.TIMEOUT and not _is_fenced(evidence, run, ask):
            yield Fault("R4", run_id, f"is Timeout; on its host: {truth}")
        case _:
            pass
    if run.status is RunStatus.TERMINATED and not run.stop_requested:
        yield Fault("R4", run_id, "is Terminated without a stop")
    if run.status in (RunStatus.ERROR, RunStatus.ABORTED) and not _is_explained(evidence, run):
        yield Fault(
            "untrue", run_id, f"is {run.status}/{run.error_code}: {run.error_info}; on its host: {truth}"
        )


def _is_fenced(evidence: Evidence, run: Run, ask: Ask) -> bool:
    """Whether we ended it ourselves past its timeout, which its host had not (its supervisor was killed, or
    it began late), before anybody asked for a stop."""
    truth, run_id = evidence.fleet.truth.get(run.key.run_id), run.key.run_id
    ended_ms = evidence.begun_ms + 1_000 * evidence.fleet.ended_s.get(run_id, 0.0)
    return (
        truth is not None
        and truth.word is HostWord.CANCELED
        and ended_ms >= run.launch_ms + 1_000 * ask.timeout_s
        and (not run.stop_ms or ended_ms < run.stop_ms + 1_000 * FENCE_WITHIN_S)
    )


def _is_explained(evidence: Evidence, run: Run) -> bool:
    """Whether anything befell its host that makes it an error."""
    fleet, machine = evidence.fleet, evidence.fleet.machines[run.key.instance_id]
    truth = fleet.truth.get(run.key.run_id)
    if truth is not None and (truth.unkilled or truth.word in (HostWord.LOST, HostWord.SIGNALED)):
        return True
    match run.error_code:
        case ErrorCode.TASK_CONCURRENCY_LIMIT:
            return True
        case ErrorCode.DELIVERY_TIMEOUT if run.launch_ms and truth is None:
            return True  # its worker had no store to ask until it was too late
        case ErrorCode.CLIENT_NOT_ONLINE:
            return machine.refuses_login
        case ErrorCode.EXECUTION_EXCEPTION:
            return fleet.no_space > 0
        case _:
            begun_ms = run.launch_ms or run.finish_ms - 1_000 * evidence.plane.limits.delivery_timeout_s
            from_s, to_s = (
                evidence.simulated_s(at_ms) for at_ms in (begun_ms, max(run.finish_ms, run.update_ms))
            )
            return machine.was_silent(from_s - LONGEST_PAUSE_S, to_s) or machine.was_rough(to_s - 25, to_s)


async def _of_ticks(evidence: Evidence, invoke_id: InvokeId) -> list[Fault]:
    """R5: each time has one round, or is recorded as missed while no beat was up."""
    plane = evidence.plane
    invocation = await plane.store.invocations.get(invoke_id)
    assert invocation is not None
    times, at_ms = times_of(invocation.spec.timing), invocation.spec.created_ms
    rounds = await plane.store.schedules.rounds(invoke_id, limit=10_000)
    fired = Counter(one.firing.at_ms for one in rounds if one.firing and one.firing.why is Why.TICK)
    late = [one.firing for one in rounds if one.firing and one.firing.why is Why.LATE]
    stood_for = [(one.at_ms, one.opened_ms) for one in late]
    """A late round also stands for what is due by then."""
    missed = await plane.store.schedules.missed(invoke_id)
    last_ms = max([*fired, *(one.last_ms for one in missed), at_ms])
    expected: list[int] = []
    while (next_ms := times.next_after(at_ms)) is not None and next_ms <= last_ms:
        expected.append(next_ms)
        at_ms = next_ms
    faults: list[Fault] = []
    for tick_ms in expected:
        is_missed = sum(1 for one in missed if one.first_ms <= tick_ms <= one.last_ms)
        with_late_one = any(at_ms < tick_ms <= opened_ms for at_ms, opened_ms in stood_for)
        if fired[tick_ms] + is_missed != (0 if with_late_one else 1):
            faults.append(
                Fault("R5", invoke_id, f"{tick_ms} fired {fired[tick_ms]} times, missed {is_missed} times")
            )
    if strange := set(fired) - set(expected):
        faults.append(Fault("R5", invoke_id, f"fired at {sorted(strange)}, which are no times of it"))
    if len(late) > len(missed):
        faults.append(Fault("R5", invoke_id, f"{len(late)} late rounds for {len(missed)} gaps"))
    jitter_ms = 1_000 * invocation.spec.jitter_s
    after_ms = times.next_after(max([last_ms, *(opened_ms for _, opened_ms in stood_for)]))
    end_ms = invocation.stop_ms or invocation.finish_ms
    if (
        after_ms is not None
        and after_ms + jitter_ms + NOTICED_MS < end_ms
        and _beat_was_up(evidence, after_ms)
    ):
        faults.append(Fault("R5", invoke_id, f"{after_ms} neither fired nor was missed, stopped at {end_ms}"))
    for one in missed:
        if jitter_ms == 0 and _beat_was_up(evidence, one.first_ms):
            faults.append(Fault("R5", invoke_id, f"{one.first_ms} was missed while a beat was up"))
    return faults


def _beat_was_up(evidence: Evidence, due_ms: int) -> bool:
    """Whether any looked so often, in time for what was due then, that it cannot have failed each time."""
    looks = evidence.looks_ms
    first = bisect_left(looks, due_ms)
    return bisect_left(looks, due_ms + NOTICED_MS) - first >= ENOUGH_LOOKS


async def _of_boots(evidence: Evidence, invoke_id: InvokeId) -> list[Fault]:
    """R5: no more rounds for an instance than it had boots; of a schedule for the next boot, one at most."""
    plane = evidence.plane
    invocation = await plane.store.invocations.get(invoke_id)
    assert invocation is not None
    counts: Counter[str] = Counter()
    for one in await plane.store.schedules.rounds(invoke_id, limit=10_000):
        if one.firing and one.firing.why is Why.BOOT:
            counts.update(await plane.store.invocations.members(invoke_id, round=one.round))
    faults: list[Fault] = []
    for instance_id, count in counts.items():
        boots = evidence.fleet.machines[instance_id].boot - 1
        most = 1 if invocation.spec.repeat_mode is RepeatMode.NEXT_REBOOT_ONLY else boots
        if count > min(boots, most):
            faults.append(Fault("R5", invoke_id, f"{instance_id} had {boots} boots and {count} rounds"))
    return faults


def _left_behind(evidence: Evidence) -> Iterator[Fault]:
    """Once everything has ended nothing is due, held, overdue or to be stopped any more."""
    server = evidence.server
    for name in (keys.DUE, keys.DUE_INSTANCES, keys.DEADLINES, keys.OPEN, keys.SCHEDULES, keys.OUTBOX):
        if left := server.ask("ZRANGE", name, 0, 3):
            yield Fault("left", name, str([one.decode() for one in left]))
    if left := server.ask("SMEMBERS", keys.STOPPING):
        yield Fault("left", keys.STOPPING, str(sorted(left)[:3]))
    fences = [RunKey.parse(one.decode()) for one in server.ask("ZRANGE", keys.FENCES, 0, -1)]
    if open_fences := [key.run_id for key in fences if key.instance_id not in evidence.lost]:
        yield Fault("left", keys.FENCES, str(open_fences[:3]))
    for machine in evidence.fleet.machines.values():
        going = [
            run_id for run_id, run in machine.runs.items() if run.result is None and run.boot == machine.boot
        ]
        if going and machine.name not in evidence.lost:
            yield Fault("left", machine.name, f"{going[:3]} still run there")
        for key in (keys.slots(InstanceId(machine.name)), keys.adrift(InstanceId(machine.name))):
            if left := server.ask("SMEMBERS", key):
                yield Fault("left", key, str(left[:3]))
