"""The judge sees what is wrong: without this, a clean report would say nothing."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import (
    AGAIN,
    Firing,
    Invocation,
    InvocationSpec,
    RepeatMode,
    Repetition,
    Run,
    Why,
)
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.schedules import MissedTicks
from tests.chaos import ticks
from tests.chaos.crew import Job, Member
from tests.chaos.ends import Ends
from tests.chaos.evidence import Evidence, gathered
from tests.chaos.faults import FaultKind
from tests.chaos.ledger import Asked, Kind, Ledger, Stop
from tests.chaos.own_words import gave_up, unexpected
from tests.chaos.recipes import RECIPES, script_of
from tests.chaos.records import Records
from tests.chaos.storm import Trouble
from tests.chaos.verdict import Verdict, Wrong
from tests.chaos.watch import differing

KEY = RunKey(InvokeId("t-1"), InstanceId("i-1"))
CALM = Ends(troubles=(), supervisors_killed=frozenset(), grace_s=60)
SHORT = RECIPES["short"]
S = RunStatus


def ran(status: RunStatus, code: str = "", exit_code: int | None = None) -> Run:
    return Run(key=KEY, status=status, error_code=code, exit_code=exit_code, launch_ms=1_000, update_ms=9_000)


def trouble(kind: FaultKind, instance_id: str, from_ms: int, until_ms: int) -> Trouble:
    members = frozenset({instance_id} if instance_id else ())
    return Trouble(kind=kind, instance_ids=members, from_ms=from_ms, until_ms=until_ms)


def asked(*, stopped: bool = False) -> Asked:
    stops = [Stop(acknowledged_ms=2_000)] if stopped else []
    return Asked(
        token="c", kind=Kind.RUN, door="HTTP", recipe="short", members=["i-1"], timeout_s=30, stops=stops
    )


def why(ends: Ends, run: Run, *, begun: int = 1, ended: int = 0, stopped: bool = False) -> str:
    output = BoundedOutput(head=b"ok\n", total=3)
    return ends.of_script(run, asked(stopped=stopped), SHORT, begun=begun, ended=ended, output=output)


def test_scripts_leave_a_line_for_each_begin_and_end(tmp_path: Path) -> None:
    for recipe in ("short", "fails"):
        variables = {"CA_RUN_ID": f"t-{recipe}.i-1.0"}
        subprocess.run(
            ["sh", "-c", script_of(RECIPES[recipe], tmp_path)],
            env=variables,
            check=False,
            capture_output=True,
        )
    subprocess.run(
        ["sh", "-c", script_of(RECIPES["short"], tmp_path)], env={"CA_RUN_ID": "t-short.i-1.0"}, check=True
    )
    (tmp_path / "i-2").write_text("t-short.i-1.0 b 1.0\n")

    evidence = gathered(tmp_path)

    assert evidence.begun == {"t-short.i-1.0": 2, "t-fails.i-1.0": 1}
    assert evidence.ended == evidence.begun
    assert len(evidence.odd) == 1


def test_what_ran_at_the_same_time_is_counted(tmp_path: Path) -> None:
    times = {"i-1": (1.0, 5.0), "i-2": (2.0, 3.0), "i-3": (4.0, 6.0)}
    for name, (began, ended) in times.items():
        (tmp_path / name).write_text(f"t-1.{name}.0 b {began}\nt-1.{name}.0 e {ended}\n")

    assert gathered(tmp_path).most_at_once(f"t-1.{name}.0" for name in times) == 2


@pytest.mark.parametrize(
    ("run", "begun", "ended", "stopped"),
    [
        (ran(S.SUCCESS, exit_code=0), 1, 1, False),
        (ran(S.TERMINATED), 1, 0, True),
        (ran(S.CANCELLED), 0, 0, True),
    ],
)
def test_ends_that_are_true_are_none_of_its_business(run: Run, begun: int, ended: int, stopped: bool) -> None:
    assert why(CALM, run, begun=begun, ended=ended, stopped=stopped) == ""


@pytest.mark.parametrize(
    ("run", "begun", "ended", "stopped"),
    [
        (ran(S.SUCCESS, exit_code=0), 1, 0, False),  # it never came to its end
        (ran(S.SUCCESS, exit_code=1), 1, 1, False),
        (ran(S.FAILED, exit_code=3), 1, 1, False),  # it is not made to fail
        (ran(S.TERMINATED), 1, 0, False),  # nobody has asked
        (ran(S.TERMINATED), 1, 1, True),  # it had ended by itself
        (ran(S.CANCELLED), 1, 0, True),  # it had begun
        (ran(S.CANCELLED), 0, 0, False),
        (ran(S.TIMEOUT, ErrorCode.EXECUTION_TIMEOUT), 1, 0, False),  # it takes no time
        (ran(S.ABORTED, ErrorCode.CLIENT_NOT_RUNNING), 0, 0, False),  # its host was there
        (ran(S.ERROR, ErrorCode.EXECUTION_INTERRUPTED), 1, 0, False),
        (ran(S.ERROR, ErrorCode.INSTANCE_RESTARTED), 1, 0, False),
        (ran(S.INVALID), 0, 0, False),
    ],
)
def test_ends_that_cannot_be_are_seen(run: Run, begun: int, ended: int, stopped: bool) -> None:
    assert why(CALM, run, begun=begun, ended=ended, stopped=stopped)


def test_only_the_fault_that_met_this_host_explains_its_end() -> None:
    here = Trouble(
        kind=FaultKind.HOST_REBOOTED, instance_ids=frozenset({"i-1"}), from_ms=2_000, until_ms=4_000
    )
    there = Trouble(
        kind=FaultKind.HOST_REBOOTED, instance_ids=frozenset({"i-2"}), from_ms=2_000, until_ms=4_000
    )
    later = Trouble(
        kind=FaultKind.HOST_REBOOTED, instance_ids=frozenset({"i-1"}), from_ms=9_500, until_ms=9_900
    )
    restarted = ran(S.ERROR, ErrorCode.INSTANCE_RESTARTED)

    met, elsewhere = (
        Ends(troubles=troubles, supervisors_killed=frozenset(), grace_s=60)
        for troubles in ([here], [there, later])
    )

    assert why(met, restarted) == ""
    assert why(elsewhere, restarted)
    assert (
        why(
            Ends(troubles=(), supervisors_killed={KEY.run_id}, grace_s=60),
            ran(S.ERROR, "ExecutionInterrupted"),
        )
        == ""
    )


def test_a_listener_that_is_gone_for_seconds_does_not_make_an_end_unknown() -> None:
    gone = trouble(FaultKind.SSHD_KILLED, "", 7_000, 8_500)
    ends = Ends(troubles=[gone], supervisors_killed=frozenset(), grace_s=60)

    for code in (ErrorCode.EXECUTION_INTERRUPTED, ErrorCode.TERMINATION_EXCEPTION):
        assert why(ends, ran(S.ERROR, code), ended=1, stopped=True)
    assert why(ends, ran(S.ABORTED, ErrorCode.CLIENT_NOT_RUNNING), begun=0) == ""


@pytest.mark.parametrize(
    ("from_ms", "until_ms", "explained"),
    [(60_000, 90_000, True), (2_000, 9_000, False), (95_000, 99_000, False)],
)
def test_a_host_is_given_up_only_while_it_is_silent(from_ms: int, until_ms: int, explained: bool) -> None:
    silent = trouble(FaultKind.HOST_DROPPED, "i-1", from_ms, until_ms)
    ends = Ends(troubles=[silent], supervisors_killed=frozenset(), grace_s=60)
    given_up = replace(ran(S.ERROR, ErrorCode.EXECUTION_INTERRUPTED), update_ms=91_000)

    assert (why(ends, given_up) == "") is explained


def test_a_boot_of_before_its_launch_explains_no_end() -> None:
    ends = Ends(
        troubles=[trouble(FaultKind.HOST_REBOOTED, "i-1", 100, 900)],
        supervisors_killed=frozenset(),
        grace_s=60,
    )

    assert why(ends, ran(S.ERROR, ErrorCode.INSTANCE_RESTARTED))


LATE = RECIPES["stopped"]


def after_its_stop(run: Run, told_ms: int = 2_000, ends: Ends = CALM) -> str:
    one = asked()
    one.stops.append(Stop(acknowledged_ms=told_ms))
    return ends.of_script(run, one, LATE, begun=1, ended=0, output=None)


def test_a_stop_that_is_acknowledged_and_does_nothing_is_seen() -> None:
    timed_out = replace(ran(S.TIMEOUT, ErrorCode.EXECUTION_TIMEOUT), update_ms=61_000, epoch=1)

    assert after_its_stop(timed_out) == "it went on for 59 s after its stop"
    assert after_its_stop(timed_out, told_ms=50_000) == ""
    assert after_its_stop(timed_out, told_ms=0) == ""


def test_a_stop_waits_for_a_host_and_for_a_plane() -> None:
    timed_out = replace(ran(S.TIMEOUT, ErrorCode.EXECUTION_TIMEOUT), update_ms=61_000, epoch=1)
    dropped = trouble(FaultKind.HOST_DROPPED, "i-1", 20_000, 30_000)
    elsewhere = trouble(FaultKind.HOST_DROPPED, "i-2", 20_000, 30_000)
    listener = trouble(FaultKind.SSHD_KILLED, "", 20_000, 22_000)

    def explained(*troubles: Trouble, away: Sequence[tuple[int, int]] = ()) -> bool:
        ends = Ends(troubles=troubles, supervisors_killed=frozenset(), grace_s=60, plane_away=away)
        return after_its_stop(timed_out, ends=ends) == ""

    assert explained(dropped)
    assert not explained(elsewhere)
    assert not explained(listener)
    assert explained(away=[(10_000, 55_000)])
    assert not explained(away=[(10_000, 20_000)])


def test_a_script_that_was_never_sent_wants_a_worker_that_was_killed() -> None:
    late = replace(ran(S.ABORTED, ErrorCode.DELIVERY_TIMEOUT), update_ms=80_000)

    def explained(*hit_ms: int) -> bool:
        ends = Ends(troubles=(), supervisors_killed=frozenset(), grace_s=60, workers_hit_ms=hit_ms)
        return why(ends, late, begun=0) == ""

    assert explained(5_000)
    assert not explained()
    assert not explained(500, 81_000)


def invocation(
    invoke_id: str = "t-1", *, round: int = 0, opened_ms: int = 0, retry_of: str = "", **spec: Any
) -> Invocation:
    """Closed, of one run that succeeded; a round of a schedule if it has a number."""
    command = Command(
        id=CommandId("c-1"), name="c", type=CommandType.SHELL, content=Secret(b"echo ok"), kept=False
    )
    repeats = spec.get("repeat_mode") in AGAIN
    return Invocation(
        spec=InvocationSpec(
            id=InvokeId(invoke_id),
            command=command,
            timeout_s=30,
            retry_of=InvokeId(retry_of) if retry_of else None,
            **spec,
        ),
        round=round,
        firing=Firing(why=Why.BOOT, at_ms=opened_ms, opened_ms=opened_ms, skipped=0) if round else None,
        repetition=Repetition() if repeats and not round else None,
        tally={S.SUCCESS: 1},
        total=1,
        published=1,
        batches=1,
        finish_ms=9_000,
    )


def clean(invoke_id: str = "t-1", **more: Any) -> Verdict:
    """All that there is of one invocation of one run which was asked for over HTTP, and went well."""
    one = asked()
    one.invoke_id, one.token = invoke_id, f"token of {invoke_id}"
    ledger = Ledger()
    ledger.add(one)
    whole = invocation(invoke_id, **more)
    key = RunKey(InvokeId(invoke_id), InstanceId("i-1"))
    success = replace(ran(S.SUCCESS, exit_code=0), key=key)
    records = Records(
        wholes={whole.spec.id: whole},
        rounds={whole.of: whole},
        runs={key: success},
        closes=Counter({whole.of: 1}),
        ends=Counter({key: 1}),
        audited={invoke_id},
    )
    return Verdict(
        ledger=ledger,
        records=records,
        evidence=Evidence(begun=Counter({key.run_id: 1}), ended=Counter({key.run_id: 1})),
        webhooks=Counter(),
        callbacks=Counter(),
        ends=CALM,
        files=Path("/nowhere"),
        outputs={key: BoundedOutput(head=b"ok\n", total=3)},
        grace_s=60,
    )


def wrong(verdict: Verdict) -> set[Wrong]:
    return {offence.wrong for offence in verdict.offences()}


def only(verdict: Verdict) -> Asked:
    [one] = verdict.ledger.entries
    return one


def begins_again(verdict: Verdict) -> None:
    verdict.evidence.begun["t-1.i-1.0"] += 1


def opens_another(verdict: Verdict) -> None:
    """By the same token, and no caller heard of it."""
    verdict.records.wholes |= clean("t-2").records.wholes


def is_answered_with_two(verdict: Verdict) -> None:
    only(verdict).others.append("t-2")


def opens_two_for_one_message(verdict: Verdict) -> None:
    told = Callback(task="chaos.done", kwargs={"token": only(verdict).token})
    for invoke_id in ("t-1", "t-2"):
        verdict.records.wholes[InvokeId(invoke_id)] = invocation(invoke_id, callback=told)


def tells_too_often(verdict: Verdict) -> None:
    verdict.webhooks["cb-t-1"] = 50


def runs_more_than_it_may(verdict: Verdict) -> None:
    only(verdict).at_once, only(verdict).members = 1, ["i-1", "i-2"]
    for member in ("i-1", "i-2"):
        verdict.evidence.began_s[f"t-1.{member}.0"] = 1.0
        verdict.evidence.ended_s[f"t-1.{member}.0"] = 2.0


def forgets_it(verdict: Verdict) -> None:
    verdict.records.wholes.clear()
    verdict.records.rounds.clear()
    verdict.records.runs.clear()
    verdict.records.closes.clear()
    verdict.evidence.begun.clear()


def keeps_no_audit(verdict: Verdict) -> None:
    verdict.records.audited.clear()


def never_answers(verdict: Verdict) -> None:
    verdict.ledger.add(replace(asked(), token="another"))


def never_answers_a_stop(verdict: Verdict) -> None:
    only(verdict).stops.append(Stop())


def refuses(verdict: Verdict) -> None:
    verdict.ledger.add(replace(asked(), token="another", refused="BadValue: no"))


def fails_a_retry_while_all_is_well(verdict: Verdict) -> None:
    retry = replace(asked(), token="another", kind=Kind.RETRY, refused="Broken: no", in_doubt=True)
    verdict.ledger.add(replace(retry, asked_ms=50_000, answered_ms=51_000))
    verdict.away = [(1_000, 2_000)]


def refuses_a_message(verdict: Verdict) -> None:
    verdict.ledger.add(replace(asked(), token="another", kind=Kind.MESSAGE))
    verdict.ledger.told["another"] = "refused: {'Code': 'no'}"


def answers_no_message(verdict: Verdict) -> None:
    for number in range(9):
        verdict.ledger.add(replace(asked(), token=f"message {number}", kind=Kind.MESSAGE))
    verdict.workers_killed = 300


def calls_nobody(verdict: Verdict) -> None:
    whole = invocation(webhook="http://127.0.0.1/")
    verdict.records.wholes[whole.spec.id] = verdict.records.rounds[whole.of] = whole


def set_run(verdict: Verdict, **fields: Any) -> None:
    [run] = verdict.records.runs.values()
    verdict.records.runs[run.key] = replace(run, **fields)


def leaves_it_open(verdict: Verdict) -> None:
    set_run(verdict, status=S.RUNNING)


def ends_it_an_hour_late(verdict: Verdict) -> None:
    set_run(verdict, update_ms=3_600_000)


def counts_wrongly(verdict: Verdict) -> None:
    whole = replace(invocation(), tally={S.FAILED: 1})
    verdict.records.rounds[whole.of] = whole


def closes_twice(verdict: Verdict) -> None:
    verdict.records.closes[invocation().of] += 1


def ends_twice(verdict: Verdict) -> None:
    verdict.records.ends[KEY] += 1


def loses_output(verdict: Verdict) -> None:
    verdict.outputs = {KEY: BoundedOutput()}


def runs_what_nobody_knows(verdict: Verdict) -> None:
    verdict.evidence.begun["t-9.i-1.0"] += 1


@pytest.mark.parametrize(
    ("breaks", "line"),
    [
        (begins_again, Wrong.DOUBLED),
        (opens_another, Wrong.DOUBLED),
        (is_answered_with_two, Wrong.DOUBLED),
        (opens_two_for_one_message, Wrong.DOUBLED),
        (tells_too_often, Wrong.DOUBLED),
        (runs_more_than_it_may, Wrong.DOUBLED),
        (forgets_it, Wrong.LOST),
        (keeps_no_audit, Wrong.LOST),
        (never_answers, Wrong.LOST),
        (never_answers_a_stop, Wrong.LOST),
        (refuses, Wrong.LOST),
        (fails_a_retry_while_all_is_well, Wrong.LOST),
        (refuses_a_message, Wrong.LOST),
        (answers_no_message, Wrong.LOST),
        (calls_nobody, Wrong.LOST),
        (leaves_it_open, Wrong.STUCK),
        (ends_it_an_hour_late, Wrong.STUCK),
        (counts_wrongly, Wrong.WRONG_TALLY),
        (closes_twice, Wrong.WRONG_TALLY),
        (ends_twice, Wrong.UNTRUE),
        (loses_output, Wrong.UNTRUE),
        (runs_what_nobody_knows, Wrong.UNTRUE),
    ],
)
def test_a_plane_that_does_so_is_seen(breaks: Callable[[Verdict], None], line: Wrong) -> None:
    verdict = clean()
    assert wrong(verdict) == set()

    breaks(verdict)

    assert line in wrong(verdict)


def test_a_retry_in_doubt_may_have_opened_one_and_no_more() -> None:
    verdict = clean()
    retry = replace(
        asked(), token="another", kind=Kind.RETRY, refused="Broken: no", in_doubt=True, first="t-1"
    )
    verdict.ledger.add(replace(retry, asked_ms=1_000, answered_ms=2_000))
    verdict.away = [(1_500, 1_600)]

    verdict.records.wholes[InvokeId("t-2")] = invocation("t-2", retry_of="t-1")
    assert wrong(verdict) == set()

    verdict.records.wholes[InvokeId("t-3")] = invocation("t-3", retry_of="t-1")
    assert wrong(verdict) == {Wrong.DOUBLED}


def test_the_record_of_a_call_may_be_lost_with_the_store_and_only_then() -> None:
    verdict = clean(created_ms=5_000)
    keeps_no_audit(verdict)

    verdict.store_down = [(6_000, 7_000)]
    assert wrong(verdict) == set()

    verdict.store_down = [(9_000, 9_500)]
    assert wrong(verdict) == {Wrong.LOST}


def test_a_tally_is_a_count_of_the_runs_at_every_look() -> None:
    told = {"Success": "2", "Pending": "1", "Failed": "0", "open": "1"}

    assert differing(told, ["Success", "Success", None]) == ""
    assert differing(told, ["Success", "Running", None])
    assert differing(told, ["Success", "Success"])


AT_BOOT: Mapping[str, Any] = {"repeat_mode": RepeatMode.EVERY_REBOOT, "created_ms": 1_000}


def boot_task(*opened_ms: int) -> Records:
    """On i-1, open from second 1 to 200; its rounds."""
    whole = replace(invocation(**AT_BOOT), stop_ms=200_000, finish_ms=200_100)
    records = Records(wholes={whole.spec.id: whole}, members={whole.spec.id: [InstanceId("i-1")]})
    for number, at_ms in enumerate(opened_ms, start=1):
        one = invocation(round=number, opened_ms=at_ms, **AT_BOOT)
        records.rounds[one.of] = one
        records.runs[replace(KEY, round=number)] = ran(S.SUCCESS)
    return records


def of_boots(
    records: Records, boots: Mapping[str, Sequence[tuple[int, int]]], stopped_ms: int = 0
) -> list[Wrong]:
    found = ticks.judged(records, away=(), boots=boots, stopped_ms={"t-1": stopped_ms})
    return [offence.wrong for offence in found]


def test_a_boot_task_has_a_round_for_each_boot_of_its_own_machine() -> None:
    own, others = {"i-1": [(90_000, 95_000)]}, {"i-2": [(90_000, 95_000), (120_000, 121_000)]}

    assert of_boots(boot_task(97_000), own) == []
    assert of_boots(boot_task(97_000, 99_000), own) == [Wrong.DOUBLED]
    assert of_boots(boot_task(97_000), others) == [Wrong.DOUBLED]
    assert of_boots(boot_task(), others) == []
    assert of_boots(boot_task(), own) == [Wrong.LOST]
    assert of_boots(boot_task(), {"i-1": [(180_000, 185_000)]}) == []


def test_a_round_that_is_opened_after_its_schedule_was_stopped_is_seen() -> None:
    boots = {"i-1": [(90_000, 95_000)]}

    assert of_boots(boot_task(97_000), boots, stopped_ms=100_000) == []
    assert of_boots(boot_task(97_000), boots, stopped_ms=50_000) == [Wrong.UNTRUE]


def clocked(*fired_ms: int, **fields: Any) -> Records:
    """Every 10 s from second 0 on, stopped at second 45; a round for each of these."""
    timing: Mapping[str, Any] = {"repeat_mode": RepeatMode.PERIOD, "frequency": "rate(10s)"}
    whole = replace(invocation(**timing), stop_ms=45_000, finish_ms=90_000)
    records = Records(wholes={whole.spec.id: whole}, missed={whole.spec.id: fields.get("missed", ())})
    for number, at_ms in enumerate(fired_ms, start=1):
        one = invocation(round=number, **timing)
        firing = Firing(why=Why.TICK, at_ms=at_ms, opened_ms=at_ms, skipped=0)
        records.rounds[one.of] = replace(one, firing=firing)
    return records


@pytest.mark.parametrize(
    ("fired_s", "found"),
    [
        ((10, 20, 30, 40), []),
        ((10, 20, 20, 30, 40), [Wrong.DOUBLED]),
        ((10, 20, 40), [Wrong.LOST]),
        ((10, 20, 30, 40, 60), [Wrong.UNTRUE]),  # after its stop, though before its close
        ((10, 20, 30, 33, 40), [Wrong.UNTRUE]),
    ],
)
def test_each_time_of_a_schedule_fires_once_until_its_stop(
    fired_s: Sequence[int], found: list[Wrong]
) -> None:
    assert of_boots(clocked(*(1_000 * s for s in fired_s)), {}) == found


def test_a_time_is_missed_only_while_no_beat_is_up() -> None:
    missed = [MissedTicks(count=1, first_ms=30_000, last_ms=30_000, seen_ms=50_000, done="skip")]
    records = clocked(10_000, 20_000, 40_000, missed=missed)

    assert of_boots(records, {}) == [Wrong.LOST]
    assert list(ticks.judged(records, away=[(29_000, 44_000)], boots={}, stopped_ms={})) == []


def line(at: str, level: str, event: str, **more: str) -> str:
    return json.dumps({"time": f"2026-01-01T00:00:{at}", "level": level, "event": event, **more})


STORE_DOWN = [(1_767_225_610_000, 1_767_225_612_000)]
"""Second 10 to 12 of that day."""


@pytest.mark.parametrize(
    ("told", "explained"),
    [
        (line("11.000", "error", "audit_record_lost"), True),
        (line("14.000", "error", "consumer: Cannot connect to redis"), True),
        (line("50.000", "error", "audit_record_lost"), False),
        (line("11.000", "error", "run_crashed"), False),
        (line("11.000", "warning", "retried", exception="Traceback …"), False),
        (line("11.000", "warning", "retried"), True),
        ("Traceback (most recent call last):", False),
        ("celery beat v5 is starting.", True),
    ],
)
def test_what_processes_say_themselves_is_read(told: str, explained: bool) -> None:
    assert (list(unexpected([told], 0, STORE_DOWN)) == []) is explained


def test_only_a_store_that_is_away_excuses_a_process_that_does_not_start(tmp_path: Path) -> None:
    log = tmp_path / "worker-1.log"
    log.write_text("no\n")
    with subprocess.Popen(["true"]) as process:
        member = Member(
            job=Job.WORKER, number=1, process=process, log=log, started_ms=50_000, ended_ms=52_000
        )

    assert list(gave_up([member], [(51_000, 51_500)])) == []
    [offence] = gave_up([member], [(1_000, 2_000)])
    assert offence.wrong is Wrong.CRASHED
