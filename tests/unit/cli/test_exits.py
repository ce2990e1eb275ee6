"""Exit codes of closed invocations."""

import pytest

from cloudassist_tasks.cli.exits import Exit, exit_of
from cloudassist_tasks.domain.status import RunStatus as S


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({S.SUCCESS: 3}, Exit.SUCCESS),
        ({S.SUCCESS: 3, S.FAILED: 1}, Exit.SOME_FAILED),
        ({S.TIMEOUT: 1, S.TERMINATED: 1}, Exit.SOME_FAILED),
        ({S.ABORTED: 1}, Exit.SOME_FAILED),
        ({S.SUCCESS: 1, S.TERMINATED: 1}, Exit.STOPPED),
        ({S.CANCELLED: 2}, Exit.STOPPED),
        ({S.FAILED: 0, S.SUCCESS: 1}, Exit.SUCCESS),
    ],
)
def test_a_failure_outweighs_a_stop_and_a_stop_outweighs_success(
    counts: dict[S, int], expected: Exit
) -> None:
    assert exit_of(counts) is expected
