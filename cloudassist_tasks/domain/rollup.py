"""How the state of a whole invocation follows from a tally of its runs, in both vocabularies.

Computed whenever somebody reads, never stored. The cost is that of looking at 12 counters, however many
runs there are. Source: the vendor's API, roll-up of an invocation; the classic table of six states.
"""

from collections.abc import Mapping

from cloudassist_tasks.domain.status import OPEN, InvocationStatus, LegacyStatus, RunStatus, legacy_of

UNSUCCESSFUL = frozenset(
    {RunStatus.INVALID, RunStatus.ABORTED, RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.ERROR}
)
"""Ended, without success, by nobody's wish."""

STOPPED = frozenset({RunStatus.CANCELLED, RunStatus.TERMINATED})
"""Ended by a stop."""

Tally = Mapping[RunStatus, int]
"""How many runs are in each state; a state may be absent."""


def invocation_status(tally: Tally) -> InvocationStatus:
    """In the fine vocabulary. A stopped run counts neither as a success nor as a failure."""
    present = _present(tally)
    for status, whole in _OPEN_FIRST:
        if status in present:
            return whole
    if present <= STOPPED:
        return InvocationStatus.STOPPED
    if not present & UNSUCCESSFUL:
        return InvocationStatus.SUCCESS
    if RunStatus.SUCCESS not in present:
        return InvocationStatus.FAILED
    return InvocationStatus.PARTIAL_FAILED


def legacy_invocation_status(tally: Tally) -> LegacyStatus:
    """In the classic vocabulary, where a script that ended with another exit code than 0 is Finished too."""
    present = {legacy_of(status) for status in _present(tally)}
    for open_status in (LegacyStatus.RUNNING, LegacyStatus.STOPPING):
        if open_status in present:
            return open_status
    ended = present - {LegacyStatus.STOPPED}
    if not ended:
        return LegacyStatus.STOPPED
    if len(ended) == 1:
        return ended.pop()
    return LegacyStatus.PARTIAL_FAILED


def open_runs(tally: Tally) -> int:
    """How many runs have not ended."""
    return sum(tally.get(status, 0) for status in OPEN)


_OPEN_FIRST = (
    (RunStatus.RUNNING, InvocationStatus.RUNNING),
    (RunStatus.STOPPING, InvocationStatus.STOPPING),
    (RunStatus.PENDING, InvocationStatus.PENDING),
    (RunStatus.SCHEDULED, InvocationStatus.SCHEDULED),
)
"""The order in which an open state decides the whole."""


def _present(tally: Tally) -> frozenset[RunStatus]:
    present = frozenset(status for status, count in tally.items() if count > 0)
    if not present:
        raise ValueError("a tally without a run has no status; an invocation has at least one instance")
    return present
