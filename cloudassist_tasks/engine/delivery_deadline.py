"""How long a run that was not launched yet is tried to be delivered.

It counts from the first attempt to connect, retries inside it. The time that a run waits for its turn before
that is not the instance's, nor is that in which this process was not awake. Only for `execute`: what was
launched has other deadlines.
"""

from collections.abc import Callable

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.status import RunStatus

REFUSED_RETRY_S = 10
"""How long a refused connection is tried again: an sshd that restarts is back within seconds."""


class DeliveryDeadline:
    """Of one claim's attempts to reach the host."""

    def __init__(self, limit_s: float, time: Callable[[], float]) -> None:
        self.limit_s = limit_s
        self._time = time
        self._since = 0.0
        """Of the first attempt to connect; 0: none yet."""

    def left_s(self) -> float:
        """From now on; the first call is the first attempt."""
        return self.limit_s - self._trying_for_s()

    def excuse(self, waited_s: float) -> None:
        """Of what has passed since the first attempt so much was spent waiting for our own turn."""
        if self._since:
            self._since += waited_s

    def check(self, fault: RunFailed, *, next_in_s: float) -> None:
        """Raise unless another attempt, after that pause, is in time and may help."""
        waited_s = self._trying_for_s() + next_in_s
        refused = fault.code is ErrorCode.CLIENT_NOT_RUNNING
        if not fault.retry_helps or (refused and waited_s > min(REFUSED_RETRY_S, self.limit_s)):
            raise fault
        if waited_s > self.limit_s:
            raise self.missed(f"the last attempt: {fault.info}") from fault

    def missed(self, why: str) -> RunFailed:
        """What a run that was not delivered in time ends with."""
        return RunFailed(
            RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT, f"not delivered within {self.limit_s} s; {why}"
        )

    def _trying_for_s(self) -> float:
        now = self._time()
        self._since = self._since or now
        return now - self._since
