"""Which ends a run may have, given what happened on its host, what was asked, and what the storm did."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from tests.chaos.faults import FaultKind
from tests.chaos.ledger import Asked
from tests.chaos.recipes import Recipe
from tests.chaos.storm import Trouble

__all__ = ["Ends"]

S = RunStatus

UNDELIVERED = frozenset(
    {
        ErrorCode.CLIENT_NOT_RUNNING,
        ErrorCode.CLIENT_NETWORK_BLOCKED,
        ErrorCode.CLIENT_NOT_RESPONSE,
        ErrorCode.DELIVERY_TIMEOUT,
    }
)
"""What a host that cannot be reached explains."""

AFTER_MS = 75_000
"""How long after a trouble its consequences may come: a delivery is tried for 60 s."""

SILENT = frozenset({FaultKind.HOST_DROPPED, FaultKind.HOST_REJECTED, FaultKind.LINK_DOWN})
"""What a host may be given up for. A listener that is gone for seconds is none of it."""

UNREACHABLE = SILENT | {FaultKind.HOST_REBOOTED}

ASKED_ONCE_MORE_MS = 25_000
"""Before it is given up, a host is asked for 20 s."""

SLOW_BEFORE_MS = 10_000
"""A machine that had no turn for one is slow for others shortly after, too."""

STOP_WITHIN_MS, PER_CLAIM_MS = 37_000, 10_000
"""How long a script may go on after the stop of it was acknowledged: 20 s, and 17 for a message that is lost
with the worker that took it. No claim tells of that, and the run is handed out again after three leases of
5 s, by the next pass. And what each worker that lost the run costs, or a listener that was gone for seconds:
its lease, a reconcile pass, a new claim."""


@dataclass(slots=True, kw_only=True)
class Ends:
    troubles: Sequence[Trouble]
    supervisors_killed: Set[str]
    grace_s: int
    workers_hit_ms: Sequence[int] = ()
    """When a worker was killed, frozen or told to end."""
    slow_ms: Sequence[int] = ()
    """When a process got no turn for seconds, though it was not frozen."""
    plane_away: Sequence[tuple[int, int]] = ()
    """From when to when, in ms, the store was down, or no worker or no beat worked."""

    def of_script(
        self,
        run: Run,
        asked: Asked | None,
        recipe: Recipe | None,
        *,
        begun: int,
        ended: int,
        output: BoundedOutput | None,
    ) -> str:
        """Why it cannot have ended as the store says; empty: it can."""
        match run.status:
            case S.SUCCESS | S.FAILED:
                return self._unheeded(run, asked) or self._by_itself(run, recipe, begun, ended, output)
            case S.TIMEOUT:
                killed = run.key.run_id in self.supervisors_killed
                meant = recipe is None or recipe.end is S.TIMEOUT or killed
                return (
                    self._unheeded(run, asked)
                    or self._cut_short(begun, ended)
                    or ("" if meant else "it is not made to run for so long")
                )
            case S.TERMINATED:
                return "it came to its end on its host" if ended else self._unasked(run, asked)
            case S.CANCELLED:
                if begun:
                    return "it had begun"
                too_many = run.error_code == ErrorCode.MAX_ERRORS_EXCEEDED
                return "" if too_many and _may_halt(asked) else self._unasked(run, asked)
            case S.ABORTED if begun:
                return "it had begun"
            case S.ABORTED if self.not_delivered(run):
                return ""
            case S.ABORTED | S.ERROR:
                return self._unexplained(run)
            case _:
                return "nothing of what was asked for ends so"

    def of_file(self, run: Run, asked: Asked | None, arrived: bool | None) -> str:
        """The same for a file. One that was sent twice would be refused as there already."""
        match run.status:
            case S.SUCCESS:
                return "the file is not there" if arrived is False else ""
            case S.CANCELLED | S.TERMINATED:
                return self._unasked(run, asked)
            case S.ABORTED if arrived:
                return "the file is there"
            case S.ABORTED if self.not_delivered(run):
                return ""
            case S.ABORTED | S.ERROR:
                return self._unexplained(run)
            case _:
                return f"nothing explains {run.error_code}"

    def not_delivered(self, run: Run) -> bool:
        """Each worker that meant to send its script was killed before it did, until its time was over. Nobody
        is to blame but the storm; how many there were stands in the report."""
        waited_s = (run.update_ms - run.launch_ms) / 1_000
        hit = any(run.launch_ms <= at_ms <= run.update_ms for at_ms in self.workers_hit_ms)
        return (
            run.error_code == ErrorCode.DELIVERY_TIMEOUT
            and run.launch_ms > 0
            and waited_s > self.grace_s / 2
            and (hit or bool(self._troubles(run)))
        )

    def away_ms(self, from_ms: int, until_ms: int) -> int:
        """How much of that time the plane was away."""
        return sum(
            max(0, min(until_ms, back_ms) - max(from_ms, gone_ms)) for gone_ms, back_ms in self.plane_away
        )

    def _unheeded(self, run: Run, asked: Asked | None) -> str:
        """It ended by itself, long after somebody was told that it would be stopped."""
        told_ms = asked.stopped_ms(str(run.key.instance_id)) if asked is not None else 0
        ended_ms = run.finish_ms or run.update_ms
        troubles = self._troubles_between(run, told_ms, ended_ms)
        if not told_ms or ended_ms <= told_ms or any(one.kind in UNREACHABLE for one in troubles):
            return ""
        allowed_ms = STOP_WITHIN_MS + PER_CLAIM_MS * (max(0, run.epoch - 1) + len(troubles))
        allowed_ms += self.away_ms(told_ms, ended_ms)
        went_on_ms = ended_ms - told_ms
        return f"it went on for {went_on_ms / 1_000:.0f} s after its stop" if went_on_ms > allowed_ms else ""

    def _by_itself(
        self, run: Run, recipe: Recipe | None, begun: int, ended: int, output: BoundedOutput | None
    ) -> str:
        if (begun, ended) != (1, 1):
            return f"on its host it began {begun} times and ended {ended} times"
        if recipe is None:
            return ""
        if recipe.end is not run.status or recipe.exit_code != run.exit_code:
            return f"it is made to end {recipe.end} with {recipe.exit_code}"
        if self._rebooted(run):
            return ""  # what was not brought before lay in its memory
        if recipe.output is not None and output is not None and output.head + output.tail != recipe.output:
            return f"its output is {output.head + output.tail!r}"
        return ""

    def _cut_short(self, begun: int, ended: int) -> str:
        if ended:
            return "it came to its end on its host"
        return "it never began" if not begun else ""

    def _unasked(self, run: Run, asked: Asked | None) -> str:
        wanted = asked is not None and asked.stop_of(run.key.instance_id)
        return "" if wanted else "nobody has asked for a stop"

    def _unexplained(self, run: Run) -> str:
        """Empty if a fault of the storm explains an end for want of a host."""
        troubles = self._troubles(run)
        match run.error_code:
            case code if code in UNDELIVERED and run.status is S.ABORTED:
                return "" if troubles else "nothing kept its host from being reached"
            case ErrorCode.INSTANCE_RESTARTED:
                return "" if self._rebooted(run) else "its host was not rebooted"
            case ErrorCode.EXECUTION_INTERRUPTED | ErrorCode.TERMINATION_EXCEPTION:
                killed = run.key.run_id in self.supervisors_killed
                explained = killed or self._rebooted(run) or self._silent_at_its_end(run)
                return "" if explained else "nothing happened to its host"
            case _:
                return f"nothing explains {run.error_code or 'an error without a code'}"

    def _rebooted(self, run: Run) -> bool:
        during = self._troubles_between(run, run.launch_ms or run.update_ms, run.update_ms)
        return any(one.kind is FaultKind.HOST_REBOOTED for one in during)

    def _silent_at_its_end(self, run: Run) -> bool:
        """It was given up: past the grace, and when it was asked for the last time there was no way to it, or
        nobody had the time to go it."""
        since_ms = run.update_ms - ASKED_ONCE_MORE_MS
        last = self._troubles_between(run, since_ms, run.update_ms)
        given_up_ms = run.launch_ms + 1_000 * self.grace_s - ASKED_ONCE_MORE_MS
        slow = any(since_ms - SLOW_BEFORE_MS <= at_ms <= run.update_ms for at_ms in self.slow_ms)
        return run.update_ms >= given_up_ms and (slow or any(one.kind in SILENT for one in last))

    def _troubles(self, run: Run) -> Sequence[Trouble]:
        """What its host suffered while it was open, or shortly before."""
        return self._troubles_between(run, (run.launch_ms or run.update_ms) - AFTER_MS, run.update_ms)

    def _troubles_between(self, run: Run, from_ms: int, until_ms: int) -> Sequence[Trouble]:
        """What its host suffered then."""
        instance_id = str(run.key.instance_id)
        on_loopback = instance_id.startswith("i-")
        return [
            one
            for one in self.troubles
            if (instance_id in one.instance_ids or (not one.instance_ids and on_loopback))
            and one.from_ms <= until_ms
            and one.until_ms >= from_ms
        ]


def _may_halt(asked: Asked | None) -> bool:
    """Without an entry, it may be a retry, which keeps the caps."""
    return asked is None or asked.max_errors is not None or asked.kind == "RetryInvocation"
