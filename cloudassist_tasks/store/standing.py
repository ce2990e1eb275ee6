"""Schedules as they are shown: the whole, its next time and its newest round, of one moment.

Read one after the other they would contradict each other where a round is opened, or the schedule is stopped,
between two reads.
"""

from collections.abc import Sequence

from cloudassist_tasks.domain.ids import InvokeId, RoundKey
from cloudassist_tasks.ports.schedules import Standing
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.loading import InvocationLoading


async def read_standing(
    link: Link, loading: InvocationLoading, ids: Sequence[InvokeId]
) -> Sequence[Standing | None]:
    """In that order; None where there is none. However many: one round trip, and one for specs that are
    not known."""
    replies = await link.script(
        "read_schedules", [keys.DUE_SCHEDULES, *[keys.header(id_) for id_ in ids]], ids
    )
    wanted = [
        key
        for id_, (_, newest, *_) in zip(ids, replies, strict=True)
        for key in (RoundKey(id_), RoundKey(id_, int(newest)))
    ]
    found = await loading.made(wanted, [flat for _, _, *flats in replies for flat in flats])
    return [
        None
        if whole is None
        else Standing(whole=whole, next_ms=None if next_ms is None else int(next_ms), newest=round_)
        for whole, round_, (next_ms, *_) in zip(found[::2], found[1::2], replies, strict=True)
    ]
