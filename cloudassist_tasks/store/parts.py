"""What each member's part in a schedule is: its newest run, whether it waits for the next, how it ended.

Nothing of that is kept twice: the run is the newest round's, and while it is final and the part is not over,
the instance waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.status import OPEN, RunStatus
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import Hash, hash_of
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.run_records import run_from

Member = tuple[InvokeId, InstanceId]


@dataclass(frozen=True, slots=True)
class Part:
    key: RunKey
    """Of the newest run; round 0: none yet."""
    repeats: int
    end: RunStatus | None
    """Final; None: it takes part in rounds to come, or has an open run."""
    of_run: Hash
    """What was asked for of the newest run; empty if there is none, or it is only published."""

    @property
    def status(self) -> RunStatus:
        """In the whole."""
        if self.end is not None:
            return self.end
        if not self.key.round:
            return RunStatus.SCHEDULED
        newest = RunStatus(self.of_run.get(b"status", b"Pending").decode())
        return newest if newest in OPEN else RunStatus.SCHEDULED


async def runs_of(link: Link, members: Sequence[Member]) -> Sequence[Run]:
    """The newest run of each, with the state that it has in the whole."""
    return [_run(part) for part in await _read(link, members, "all")]


async def statuses_of(link: Link, members: Sequence[Member]) -> Sequence[RunStatus]:
    """In the whole."""
    return [part.status for part in await _read(link, members, "status")]


async def _read(link: Link, members: Sequence[Member], wanted: str) -> Sequence[Part]:
    """In that order, in one round trip."""
    if not members:
        return []
    replies = await link.script(
        "read_parts",
        [
            key
            for invoke_id, _ in members
            for key in (keys.latest(invoke_id), keys.counts(invoke_id), keys.ended(invoke_id))
        ],
        [keys.RUN, wanted, *[word for member in members for word in member]],
    )
    return [
        Part(
            RunKey(invoke_id, id_, round_), repeats, RunStatus(end.decode()) if end else None, hash_of(of_run)
        )
        for (invoke_id, id_), (round_, repeats, end, of_run) in zip(members, replies, strict=True)
    ]


def _run(part: Part) -> Run:
    run = run_from(part.key, part.of_run)
    if not part.key.round and part.status is RunStatus.ABORTED:
        run = replace(
            run,
            error_code=ErrorCode.CRON_EXPRESSION_EXPIRED,
            error_info="no beat was up at its last time; `--misfire once` runs it later then",
        )
    return replace(run, status=part.status, repeats=part.repeats)
