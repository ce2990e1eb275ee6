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
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.run_records import run_from

Member = tuple[InvokeId, InstanceId]

COMMANDS = 3
"""To the server, for each member."""


@dataclass(frozen=True, slots=True)
class Part:
    key: RunKey
    """Of the newest run; round 0: none yet."""
    repeats: int
    end: RunStatus | None
    """Final; None: it takes part in rounds to come, or has an open run."""

    def status(self, of_run: RunStatus | None) -> RunStatus:
        """In the whole, given that of the newest run."""
        if self.end is not None:
            return self.end
        return of_run if of_run in OPEN and of_run is not None else RunStatus.SCHEDULED


async def parts_of(link: Link, members: Sequence[Member]) -> Sequence[Part]:
    """In that order, in one round trip."""
    if not members:
        return []
    replies = await link.batch(
        [
            words
            for invoke_id, id_ in members
            for words in (
                ("ZSCORE", keys.latest(invoke_id), id_),
                ("HGET", keys.counts(invoke_id), id_),
                ("HGET", keys.ended(invoke_id), id_),
            )
        ]
    )
    found = []
    for at, (invoke_id, id_) in enumerate(members):
        latest, count, end = replies[COMMANDS * at : COMMANDS * at + COMMANDS]
        key = RunKey(invoke_id, id_, int(float(latest or 0)))
        found.append(Part(key, int(count or 0), RunStatus(end.decode()) if end else None))
    return found


async def runs_of(link: Link, members: Sequence[Member]) -> Sequence[Run]:
    """The newest run of each, with the state that it has in the whole."""
    parts = await parts_of(link, members)
    hashes = await link.batch([("HGETALL", keys.run(part.key)) for part in parts]) if parts else []
    return [_run(part, run_from(part.key, hash_of(flat))) for part, flat in zip(parts, hashes, strict=True)]


async def statuses_of(link: Link, members: Sequence[Member]) -> Sequence[RunStatus]:
    """In the whole."""
    parts = await parts_of(link, members)
    replies = await link.batch([("HGET", keys.run(part.key), "status") for part in parts]) if parts else []
    return [part.status(_of_run(part, reply)) for part, reply in zip(parts, replies, strict=True)]


def _of_run(part: Part, status: bytes | None) -> RunStatus | None:
    if not part.key.round:
        return None
    return RunStatus((status or b"Pending").decode())


def _run(part: Part, run: Run) -> Run:
    status = part.status(run.status if part.key.round else None)
    if not part.key.round and status is RunStatus.ABORTED:
        run = replace(
            run,
            error_code=ErrorCode.CRON_EXPRESSION_EXPIRED,
            error_info="no beat was up at its last time; `--misfire once` runs it later then",
        )
    return replace(run, status=status, repeats=part.repeats)
