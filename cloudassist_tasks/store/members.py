"""Members of an invocation whose runs are in some states: of a large one by bits, not by looking at all.

A large invocation has a bit for each member and each state that its run may end in (`lua/pieces/tally.lua`),
written once, when it ends. Those of a small one are simply read.
"""

from itertools import islice

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus
from cloudassist_tasks.ports.listing import Candidates
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.bits import in_server_order, lowest
from cloudassist_tasks.store.link import Link

LARGE = 200
"""An invocation of more members has such bits: `lua/open_invocation.lua` says so too."""


async def find_candidates(
    link: Link,
    invocation: Invocation,
    statuses: frozenset[RunStatus],
    *,
    start: int,
    skip: int,
    limit: int,
) -> Candidates:
    """See `ports.invocations.Invocations.candidates`."""
    invoke_id = invocation.spec.id
    if invocation.total <= LARGE or invocation.round:
        ids = await link.call("ZRANGE", keys.members(invoke_id, invocation.round), start, start + limit - 1)
        items = [(start + at, InstanceId(id_.decode())) for at, id_ in enumerate(ids)]
        return Candidates(items=items, next=start + len(items) if items else invocation.total)
    replies = await link.batch([("GET", keys.members_in(invoke_id, status)) for status in FINAL])
    bits = ended = 0
    for status, reply in zip(FINAL, replies, strict=True):
        there = in_server_order(reply or b"")
        ended |= there
        if status in statuses:
            bits |= there
    if statuses & OPEN:
        bits |= ((1 << invocation.total) - 1) & ~ended
        skip = 0  # which of the open ones fit is not known here
    places = list(islice(lowest(bits, start), skip, skip + limit))
    if not places:
        passed = (bits >> start).bit_count() if skip else 0
        return Candidates(items=[], next=invocation.total, passed=passed)
    replies = await link.batch([("ZRANGE", keys.members(invoke_id), place, place) for place in places])
    items = [
        (place, InstanceId(reply[0].decode())) for place, reply in zip(places, replies, strict=True) if reply
    ]
    return Candidates(
        items=items, next=places[-1] + 1 if len(places) == limit else invocation.total, passed=skip
    )
