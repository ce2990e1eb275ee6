"""The judge sees what is wrong: without this, a clean report would say nothing."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.output import BoundedOutput
from tests.chaos.evidence import gathered, left_over
from tests.chaos.ledger import Asked, Kind, Stop
from tests.chaos.made import KEY, S, asked, clean, invocation
from tests.chaos.recipes import RECIPES, script_of
from tests.chaos.verdict import Verdict, Wrong
from tests.chaos.watch import differing
from tests.support.eventually import eventually


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


def test_what_a_run_has_left_on_a_host_is_found(tmp_path: Path) -> None:
    run_id = f"t-{os.getpid()}.i-1.0"
    helper = tmp_path / "bin" / "ca-helper"
    helper.parent.mkdir()
    helper.symlink_to("/bin/sleep")
    variables = {"CA_RUN_ID": run_id}
    with (
        subprocess.Popen(["sleep", "600"], env=variables) as child,
        subprocess.Popen([helper, "600"], env={}) as own,
    ):
        try:  # a process that has just begun shows no words yet
            eventually(lambda: {run_id, "helper"} <= left_over([tmp_path]).keys(), within=60)
            found = left_over([tmp_path])
        finally:
            child.kill()
            own.kill()

    assert [process.split()[0] for process in found[run_id]] == [str(child.pid)]
    assert [process.split()[0] for process in found["helper"]] == [str(own.pid)]
    assert run_id not in left_over([tmp_path])


def test_what_ran_at_the_same_time_is_counted(tmp_path: Path) -> None:
    times = {"i-1": (1.0, 5.0), "i-2": (2.0, 3.0), "i-3": (4.0, 6.0)}
    for name, (began, ended) in times.items():
        (tmp_path / name).write_text(f"t-1.{name}.0 b {began}\nt-1.{name}.0 e {ended}\n")

    assert gathered(tmp_path).most_at_once(f"t-1.{name}.0" for name in times) == 2


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


def test_a_retry_is_left_without_an_answer_only_by_a_plane_that_had_no_turn() -> None:
    def left_by(refused: str, slow_ms: int) -> set[Wrong]:
        verdict = clean()
        retry = replace(asked(), token="another", kind=Kind.RETRY, refused=refused, in_doubt=True)
        verdict.ledger.add(replace(retry, asked_ms=50_000, answered_ms=55_000))
        verdict.ends = replace(verdict.ends, slow_ms=[slow_ms])
        return wrong(verdict)

    assert left_by("Broken: no answer within 5 s", 56_000) == set()
    assert left_by("Broken: no answer within 5 s", 40_000) == {Wrong.LOST}
    assert left_by("Broken: refused", 56_000) == {Wrong.LOST}


def test_the_record_of_a_call_may_stand_in_the_log_in_place_of_the_audit() -> None:
    verdict = clean()
    keeps_no_audit(verdict)
    assert wrong(verdict) == {Wrong.LOST}

    verdict.logged = set(verdict.records.wholes)
    assert wrong(verdict) == set()


def test_a_tally_is_a_count_of_the_runs_at_every_look() -> None:
    told = {"Success": "2", "Pending": "1", "Failed": "0", "open": "1"}

    assert differing(told, ["Success", "Success", None]) == ""
    assert differing(told, ["Success", "Running", None])
    assert differing(told, ["Success", "Success"])
