"""The roll-up, against a plain reading of the documents' tables for every mixture of up to six instances."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import pytest

from cloudassist_tasks.domain.rollup import invocation_status, legacy_invocation_status, open_runs
from cloudassist_tasks.domain.status import InvocationStatus, LegacyStatus, RunStatus

R = RunStatus


def mixtures() -> Iterator[Sequence[RunStatus]]:
    for size in range(1, 7):
        yield from combinations_with_replacement(RunStatus, size)


def fine_by_the_table(runs: Sequence[RunStatus]) -> str:
    """Contract, section 3, rule by rule; the first that holds wins."""
    failed = sum(run.value in ("Invalid", "Aborted", "Failed", "Timeout", "Error") for run in runs)
    stopped = sum(run.value in ("Cancelled", "Terminated") for run in runs)
    success = sum(run.value == "Success" for run in runs)
    rules = [
        (any(run.value == "Running" for run in runs), "Running"),
        (any(run.value == "Stopping" for run in runs), "Stopping"),
        (any(run.value == "Pending" for run in runs), "Pending"),
        (any(run.value == "Scheduled" for run in runs), "Scheduled"),
        (stopped == len(runs), "Stopped"),
        (success >= 1 and failed == 0, "Success"),
        (failed >= 1 and success == 0, "Failed"),
        (success >= 1 and failed >= 1, "PartialFailed"),
    ]
    return next(status for holds, status in rules if holds)


CLASSIC_NAME = {
    "Pending": "Running",
    "Scheduled": "Running",
    "Running": "Running",
    "Stopping": "Stopping",
    "Success": "Finished",
    "Failed": "Finished",
    "Timeout": "Failed",
    "Error": "Failed",
    "Invalid": "Failed",
    "Aborted": "Failed",
    "Cancelled": "Stopped",
    "Terminated": "Stopped",
}


def classic_by_the_table(runs: Sequence[RunStatus]) -> str:
    """The six states of the whole, in their order; the first that holds wins."""
    names = [CLASSIC_NAME[run.value] for run in runs]
    rules = [
        ("Running" in names, "Running"),
        ("Stopping" in names, "Stopping"),
        (all(name == "Stopped" for name in names), "Stopped"),
        (all(name in ("Failed", "Stopped") for name in names) and "Failed" in names, "Failed"),
        (all(name in ("Finished", "Stopped") for name in names) and "Finished" in names, "Finished"),
        ("Failed" in names and "Finished" in names, "PartialFailed"),
    ]
    return next(status for holds, status in rules if holds)


def test_the_fine_status_is_the_tables_for_every_mixture() -> None:
    wrong = [runs for runs in mixtures() if fine_by_the_table(runs) != invocation_status(Counter(runs))]

    assert wrong == []


def test_the_classic_status_is_the_tables_for_every_mixture() -> None:
    wrong = [
        runs for runs in mixtures() if classic_by_the_table(runs) != legacy_invocation_status(Counter(runs))
    ]

    assert wrong == []


def test_a_counter_of_zero_is_the_same_as_none() -> None:
    tally = {R.RUNNING: 0, R.SUCCESS: 3, R.TERMINATED: 0}

    assert InvocationStatus.SUCCESS is invocation_status(tally)
    assert LegacyStatus.FINISHED is legacy_invocation_status(tally)


def test_the_cost_does_not_grow_with_the_number_of_runs() -> None:
    tally = {R.SUCCESS: 10**12, R.ABORTED: 10**9}

    assert InvocationStatus.PARTIAL_FAILED is invocation_status(tally)
    assert LegacyStatus.PARTIAL_FAILED is legacy_invocation_status(tally)


def test_a_non_zero_exit_is_failed_in_the_fine_and_finished_in_the_classic_vocabulary() -> None:
    tally = {R.FAILED: 1}

    assert InvocationStatus.FAILED is invocation_status(tally)
    assert LegacyStatus.FINISHED is legacy_invocation_status(tally)


@pytest.mark.parametrize("tally", [{}, {R.SUCCESS: 0}])
def test_a_tally_without_a_run_has_no_status(tally: dict[RunStatus, int]) -> None:
    with pytest.raises(ValueError, match="at least one instance"):
        invocation_status(tally)


def test_open_runs_are_those_that_have_not_ended() -> None:
    assert open_runs({R.PENDING: 1, R.SCHEDULED: 2, R.RUNNING: 3, R.STOPPING: 4, R.SUCCESS: 50}) == 10
