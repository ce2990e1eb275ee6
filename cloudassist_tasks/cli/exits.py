"""What the command line's exit codes mean. Scripts build on them; they never change."""

from collections.abc import Mapping
from enum import IntEnum

from cloudassist_tasks.domain.status import FINAL, RunStatus

__all__ = ["Exit", "exit_of"]

STOPPED = (RunStatus.CANCELLED, RunStatus.TERMINATED)


class Exit(IntEnum):
    """0, 1, 2, 3 and 130 are fixed; 70 is `EX_SOFTWARE` of sysexits.h."""

    SUCCESS = 0
    """All runs succeeded; for other commands: done."""
    SOME_FAILED = 1
    """Some runs did not succeed; for `doctor`: a run would not work."""
    REFUSED = 2
    """Bad usage, or refused, or the store or the broker was away."""
    WAITED = 3
    """`--wait` was over before the invocation was; it goes on."""
    INTERNAL = 70
    """A fault of ours."""
    STOPPED = 130
    """The invocation was stopped, by Ctrl-C or by somebody else."""


def exit_of(counts: Mapping[RunStatus, int]) -> Exit:
    """The exit code of a closed invocation: a failure outweighs a stop."""
    if any(number and status in FINAL and not _harmless(status) for status, number in counts.items()):
        return Exit.SOME_FAILED
    if any(counts.get(status, 0) for status in STOPPED):
        return Exit.STOPPED
    return Exit.SUCCESS


def _harmless(status: RunStatus) -> bool:
    return status is RunStatus.SUCCESS or status in STOPPED
