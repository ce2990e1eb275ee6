"""The judge sees what is wrong: without this, a clean report would say nothing."""

import subprocess
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from tests.chaos.ends import Ends
from tests.chaos.evidence import gathered
from tests.chaos.faults import FaultKind
from tests.chaos.ledger import Asked, Kind, Stop
from tests.chaos.recipes import RECIPES, script_of
from tests.chaos.storm import Trouble

KEY = RunKey(InvokeId("t-1"), InstanceId("i-1"))
CALM = Ends(troubles=(), supervisors_killed=frozenset(), grace_s=60)
SHORT = RECIPES["short"]
S = RunStatus


def ran(status: RunStatus, code: str = "", exit_code: int | None = None) -> Run:
    return Run(key=KEY, status=status, error_code=code, exit_code=exit_code, launch_ms=1_000, update_ms=9_000)


def asked(*, stopped: bool = False) -> Asked:
    stops = [Stop(acknowledged=True)] if stopped else []
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
