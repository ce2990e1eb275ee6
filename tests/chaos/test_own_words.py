"""What the plane's processes log is judged, and those that do not start."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.chaos.crew import Crew, Job, Member
from tests.chaos.own_words import gave_up, unexpected
from tests.chaos.verdict import Wrong


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


def test_a_process_that_got_no_turn_is_late_and_says_so() -> None:
    stall = line("30.000", "error", "The pool's loop has stalled for 2.5 s; it is at: …")
    late = line("33.000", "error", "Task cloudassist.run[t-1.i-1.0] raised unexpected: Broken('refused')")
    unheard = line("33.000", "error", "Task x raised unexpected: Broken('the store: no answer within 3 s')")
    faulted = line("32.500", "error", "run_faulted", fault="Broken")

    assert list(unexpected([stall, late], 0, STORE_DOWN)) == []
    assert list(unexpected([faulted, unheard], 0, STORE_DOWN)) == []
    assert list(unexpected([faulted], 0, STORE_DOWN)) == [faulted]
    assert list(unexpected([late], 0, STORE_DOWN)) == [late]
    assert list(unexpected([late], 0, STORE_DOWN, [(1_767_225_620_000, 1_767_225_631_000)])) == []


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

    log.write_text("error: the store at s cannot be reached: no answer within 5 s; is it up?\n")
    assert list(gave_up([member], [])) == []


def test_a_process_that_ends_without_the_storm_has_crashed(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 0, {Job.WORKER: 3})
    for number, ended_by in enumerate(("", "kill -9"), start=1):
        with subprocess.Popen(["true"]) as process:
            crew.members.append(
                Member(
                    job=Job.WORKER,
                    number=number,
                    process=process,
                    log=tmp_path / "log",
                    ended_by=ended_by,
                    ready=True,
                )
            )

    assert [one.name for one in crew.crashed()] == ["worker-1"]
    assert crew.missing() == ["worker: 0 of 3"]
