"""Which published runs have lost their message: `reconcile` publishes them again.

A message can vanish between broker and claim, and nobody tells. While no message waits in any queue, whatever
has been unclaimed for a lease has lost its own. While some wait, one that is lost looks like one that waits,
and to send all of them again would make a long queue longer. So in each pass a few are sent again, of those
that were published longest ago: in a queue that moves these are the next ones, or lost. All of those that
have waited for half of their invocation's life are sent again, too: ever more rarely if the queue stands
still. A message too many does no harm, the claim is given once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.engine.plane import Plane

__all__ = ["DOUBTFUL_AT_ONCE", "Looking", "lost_messages"]

LOST_AFTER_LEASES = 1
"""Where no message waits."""
DOUBTFUL_AFTER_LEASES = 5
"""Where some wait."""
DOUBTFUL_AT_ONCE = 20
"""Runs, of all invocations, that one pass publishes again though their messages may only wait."""
AT_A_TIME = 500


@dataclass(slots=True)
class Looking:
    """One pass over all open invocations."""

    queues_empty: bool
    doubtful: int = DOUBTFUL_AT_ONCE
    """How many more of them this pass may publish."""


async def lost_messages(plane: Plane, invocation: Invocation, looking: Looking) -> Sequence[RunKey]:
    """Of this invocation. Their clock starts anew."""
    lease_ms, age_ms = 1_000 * plane.settings.lease_s, plane.clock.now_ms() - invocation.opened_ms
    if looking.queues_empty:
        return await _unclaimed(plane, invocation, LOST_AFTER_LEASES * lease_ms, AT_A_TIME)
    doubtful_ms = DOUBTFUL_AFTER_LEASES * lease_ms
    lost = await _unclaimed(plane, invocation, max(doubtful_ms, age_ms / 2), AT_A_TIME)
    if not looking.doubtful:
        return lost
    doubtful = await _unclaimed(plane, invocation, doubtful_ms, looking.doubtful)
    looking.doubtful -= len(doubtful)
    return [*lost, *doubtful]


async def _unclaimed(plane: Plane, invocation: Invocation, for_ms: float, limit: int) -> Sequence[RunKey]:
    now_ms, of = plane.clock.now_ms(), invocation.of
    return await plane.store.invocations.unclaimed(
        of.invoke_id, round=of.round, older_than_ms=now_ms - int(for_ms), limit=limit, now_ms=now_ms
    )
