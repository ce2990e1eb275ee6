"""Which ends of a run are believed: only what happened to its own host, or to its run, explains one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.invocation import (
    Run,
)
from cloudassist_tasks.domain.output import BoundedOutput
from tests.chaos.ends import Ends
from tests.chaos.faults import FaultKind
from tests.chaos.ledger import Stop
from tests.chaos.made import CALM, KEY, S, asked, ran, trouble
from tests.chaos.recipes import RECIPES
from tests.chaos.storm import Trouble

SHORT = RECIPES["short"]


def why(ends: Ends, run: Run, *, begun: int = 1, ended: int = 0, stopped: bool = False) -> str:
    output = BoundedOutput(head=b"ok\n", total=3)
    return ends.of_script(run, asked(stopped=stopped), SHORT, begun=begun, ended=ended, output=output)


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


def test_a_host_may_be_given_up_by_a_machine_that_is_too_slow_to_ask_it() -> None:
    given_up = replace(ran(S.ERROR, ErrorCode.EXECUTION_INTERRUPTED), update_ms=91_000)

    def explained(slow_ms: int, run: Run = given_up) -> bool:
        ends = Ends(troubles=(), supervisors_killed=frozenset(), grace_s=60, slow_ms=[slow_ms])
        return why(ends, run) == ""

    assert explained(70_000)
    assert not explained(10_000)
    assert not explained(8_000, ran(S.ERROR, ErrorCode.EXECUTION_INTERRUPTED))


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
