"""The states of a run, which moves between them are legal, and what each is called in the older vocabulary.

The store is told the legal origins of a move from here; nothing else decides them. How an
invocation's state follows from its runs' is `rollup.py`.
Source: the vendor's API, status vocabularies; `docs/architecture.md`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never


class RunStatus(StrEnum):
    """State of one instance's run: the fine vocabulary, 12 values."""

    PENDING = "Pending"
    """Being checked or delivered; waits for a worker, or is being launched."""
    SCHEDULED = "Scheduled"
    """Waits for its next scheduled round."""
    RUNNING = "Running"
    SUCCESS = "Success"
    """Ended by itself with exit code 0."""
    FAILED = "Failed"
    """Ended by itself with another exit code."""
    ERROR = "Error"
    """Could not be run, or what became of it cannot be known."""
    TIMEOUT = "Timeout"
    """Was still running at its timeout and was killed."""
    INVALID = "Invalid"
    """The command or a parameter cannot be used on this instance."""
    ABORTED = "Aborted"
    """Could not be delivered; nothing was started."""
    STOPPING = "Stopping"
    """A stop was asked for and is not yet confirmed."""
    CANCELLED = "Cancelled"
    """Stopped before its process started; it never will."""
    TERMINATED = "Terminated"
    """Stopped while it ran; its processes were seen gone."""


S = RunStatus

OPEN = frozenset({S.PENDING, S.SCHEDULED, S.RUNNING, S.STOPPING})
FINAL = frozenset(RunStatus) - OPEN

LEGAL_MOVES: Mapping[RunStatus, frozenset[RunStatus]] = {
    S.PENDING: frozenset(
        {
            S.SCHEDULED,
            S.RUNNING,
            S.STOPPING,
            S.SUCCESS,
            S.FAILED,
            S.ERROR,
            S.TIMEOUT,
            S.INVALID,
            S.ABORTED,
            S.CANCELLED,
        }
    ),
    S.SCHEDULED: frozenset({S.PENDING, S.RUNNING, S.STOPPING, S.CANCELLED, S.TERMINATED})
    | frozenset({S.SUCCESS, S.FAILED, S.ERROR, S.TIMEOUT, S.INVALID, S.ABORTED}),
    # Invalid: what carries a file found, while it ran, that the file cannot be placed there.
    S.RUNNING: frozenset({S.SCHEDULED, S.STOPPING, S.SUCCESS, S.FAILED, S.ERROR, S.TIMEOUT, S.INVALID}),
    # A stop may lose the race against the run's own end, and win it against the start.
    S.STOPPING: frozenset({S.CANCELLED, S.TERMINATED, S.SUCCESS, S.FAILED, S.TIMEOUT, S.INVALID, S.ERROR}),
    **{final: frozenset[RunStatus]() for final in FINAL},
}
"""From each state, the states that may follow. A final state never moves."""


def origins(to: RunStatus) -> frozenset[RunStatus]:
    """The states from which `to` may be reached."""
    return frozenset(status for status, following in LEGAL_MOVES.items() if to in following)


class Phase(StrEnum):
    """How far the delivery of a run has come; a phase of Pending, not a state."""

    QUEUED = "Queued"
    """No worker has claimed it, or its claim was given back before anything was sent."""
    CLAIMED = "Claimed"
    """A worker has it; nothing was sent to the host."""
    LAUNCHING = "Launching"
    """The host's boot id is recorded; from here on a launch may have been sent."""


class LegacyStatus(StrEnum):
    """The classic vocabulary, for one instance and (with PartialFailed) for the whole."""

    RUNNING = "Running"
    FINISHED = "Finished"
    """The process ended by itself, whatever its exit code."""
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    PARTIAL_FAILED = "PartialFailed"


class InvocationStatus(StrEnum):
    """State of a whole invocation in the fine vocabulary."""

    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCESS = "Success"
    FAILED = "Failed"
    PARTIAL_FAILED = "PartialFailed"
    STOPPED = "Stopped"


def legacy_of(status: RunStatus) -> LegacyStatus:
    """The classic name of a run's state."""
    match status:
        case S.PENDING | S.SCHEDULED | S.RUNNING:
            return LegacyStatus.RUNNING
        case S.STOPPING:
            return LegacyStatus.STOPPING
        case S.SUCCESS | S.FAILED:
            return LegacyStatus.FINISHED
        case S.TIMEOUT | S.ERROR | S.INVALID | S.ABORTED:
            return LegacyStatus.FAILED
        case S.CANCELLED | S.TERMINATED:
            return LegacyStatus.STOPPED
        case _:
            assert_never(status)
