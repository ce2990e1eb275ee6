"""What the words of a host mean for a run."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.outcome import HostWord, Outcome, outcome_of, outcome_of_failure
from cloudassist_tasks.domain.status import FINAL, LEGAL_MOVES, RunStatus
from cloudassist_tasks.ports import transport

S, E, W = RunStatus, ErrorCode, HostWord


@pytest.mark.parametrize(
    ("word", "code", "stop_requested", "status", "error_code"),
    [
        (W.TIMEOUT, "", False, S.TIMEOUT, E.EXECUTION_TIMEOUT),
        (W.TIMEOUT, "", True, S.TIMEOUT, E.EXECUTION_TIMEOUT),
        (W.CANCELED, "NotStarted", True, S.CANCELLED, E.NONE),
        (W.CANCELED, "", True, S.TERMINATED, E.NONE),
        (W.CANCELED, "", False, S.ERROR, E.EXECUTION_INTERRUPTED),
        (W.INVALID, "AccountNotExists", False, S.INVALID, E.ACCOUNT_NOT_EXISTS),
        (W.INVALID, "DirectoryNotExists", False, S.INVALID, E.DIRECTORY_NOT_EXISTS),
        (
            W.INVALID,
            "DefaultWorkingDirectoryNotAvailable",
            False,
            S.INVALID,
            E.DEFAULT_WORKING_DIRECTORY_NOT_AVAILABLE,
        ),
        (W.INVALID, "SomethingNew", False, S.ERROR, E.EXECUTION_EXCEPTION),
        (W.LOST, "InstanceRebooted", False, S.ERROR, E.INSTANCE_RESTARTED),
        (W.LOST, "SupervisorKilled", False, S.ERROR, E.EXECUTION_INTERRUPTED),
        (W.LOST, "", False, S.ERROR, E.EXECUTION_INTERRUPTED),
        (W.SIGNALED, "TERM", False, S.ERROR, E.INSTANCE_RESTARTED),
        (W.ERROR, "NoEnoughSpace", False, S.ERROR, E.EXECUTION_EXCEPTION),
        (W.ERROR, "SudoNotAvailable", False, S.ERROR, E.EXECUTION_EXCEPTION),
    ],
)
def test_each_word_has_one_meaning(
    word: HostWord, code: str, stop_requested: bool, status: RunStatus, error_code: ErrorCode
) -> None:
    outcome = outcome_of(word, code=code, stop_requested=stop_requested)

    assert (status, error_code, None) == (outcome.status, outcome.error_code, outcome.exit_code)
    assert bool(error_code) is bool(outcome.error_info)


def test_a_zero_exit_is_success_and_any_other_failed() -> None:
    assert Outcome(status=S.SUCCESS, exit_code=0) == outcome_of(W.EXITED, exit_code=0)

    failed = outcome_of(W.EXITED, exit_code=137)

    assert (failed.status, failed.error_code, failed.exit_code) == (S.FAILED, E.EXIT_CODE_NONZERO, 137)


def test_an_end_without_an_exit_code_is_not_taken_for_success() -> None:
    assert S.ERROR is outcome_of(W.EXITED).status


def test_a_run_that_ended_before_its_stop_keeps_its_end() -> None:
    assert S.SUCCESS is outcome_of(W.EXITED, exit_code=0, stop_requested=True).status


def test_a_stop_that_left_a_process_is_never_terminated() -> None:
    outcome = outcome_of(W.CANCELED, stop_requested=True, unkilled=True)

    assert (outcome.status, outcome.error_code) == (S.ERROR, E.TERMINATION_EXCEPTION)


def test_a_timeout_that_left_a_process_says_so() -> None:
    outcome = outcome_of(W.TIMEOUT, unkilled=True)

    assert S.TIMEOUT is outcome.status
    assert "cannot be killed" in outcome.error_info


def test_the_reason_of_the_helper_stands_in_the_error_info() -> None:
    assert (
        outcome_of(W.ERROR, code="NoEnoughSpace", detail="/var/lib/ca").error_info
        == "NoEnoughSpace: /var/lib/ca"
    )
    assert "(deploy)" in outcome_of(W.INVALID, code="AccountNotExists", detail="deploy").error_info
    assert "SupervisorKilled" in outcome_of(W.LOST, code="SupervisorKilled").error_info


def origins_that_apply(word: HostWord, code: str, stop_requested: bool) -> set[RunStatus]:
    """Where a run can stand when its host says this. A stop moves every claimed run to Stopping; a script
    that was refused or fenced before it started was never Running."""
    if stop_requested:
        return {S.STOPPING}
    if word is W.INVALID or (word is W.CANCELED and code == "NotStarted"):
        return {S.PENDING}
    return {S.PENDING, S.RUNNING}


@given(
    word=st.sampled_from(HostWord),
    code=st.sampled_from(
        ["", "NotStarted", "InstanceRebooted", "AccountNotExists", "DirectoryNotExists", "NoEnoughSpace"]
    ),
    exit_code=st.none() | st.integers(0, 255),
    stop_requested=st.booleans(),
    unkilled=st.booleans(),
)
def test_every_outcome_is_final_and_reached_by_a_legal_move(
    word: HostWord, code: str, exit_code: int | None, stop_requested: bool, unkilled: bool
) -> None:
    outcome = outcome_of(
        word, code=code, exit_code=exit_code, stop_requested=stop_requested, unkilled=unkilled
    )

    assert outcome.status in FINAL
    assert all(
        outcome.status in LEGAL_MOVES[origin] for origin in origins_that_apply(word, code, stop_requested)
    )


def test_every_error_info_is_one_line() -> None:
    for word, stop_requested in itertools.product(HostWord, (False, True)):
        assert "\n" not in outcome_of(word, stop_requested=stop_requested).error_info


def test_a_failure_on_the_way_is_recorded_as_it_says() -> None:
    failure = RunFailed(S.ABORTED, E.CLIENT_NOT_RUNNING, "nothing listens at i-1")

    assert Outcome(
        status=S.ABORTED, error_code=E.CLIENT_NOT_RUNNING, error_info="nothing listens at i-1"
    ) == outcome_of_failure(failure)


def test_the_port_speaks_the_same_words() -> None:
    assert transport.HostWord is HostWord
