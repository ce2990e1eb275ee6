"""Invocations and rounds, as they stand: what changes is read, what does not is remembered."""

from collections import OrderedDict
from collections.abc import Sequence

from cloudassist_tasks.domain.ids import InvokeId, RoundKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationSpec
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.invocation_records import invocation_from
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.spec_records import spec_from

SPECS_KEPT = 256
"""How many specs a process remembers; they never change, and a worker asks for the same one all the time."""


class InvocationLoading:
    """Of one link; remembers the specs that it has met."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._specs: OrderedDict[tuple[InvokeId, int], InvocationSpec] = OrderedDict()

    async def load(self, wanted: Sequence[RoundKey]) -> Sequence[Invocation | None]:
        """As they stand, in that order; None where there is none. One round trip, if the specs are known or
        were never changed; else two."""
        specs = dict(self._specs)  # others may push them out while we wait
        fresh = {key.invoke_id for key in wanted if (key.invoke_id, 0) not in specs}
        replies = await self._link.batch(
            [
                words
                for key in wanted
                for words in (
                    ("HGETALL", keys.header(key.invoke_id, key.round)),
                    ("HGETALL", keys.tally(key.invoke_id, key.round)),
                )
            ]
            + [("GET", keys.spec(id_)) for id_ in fresh]
        )
        read = {
            (id_, 0): spec_from(blob)
            for id_, blob in zip(fresh, replies[2 * len(wanted) :], strict=True)
            if blob is not None
        }
        headers = [hash_of(reply) for reply in replies[0 : 2 * len(wanted) : 2]]
        versions = [
            (key.invoke_id, int(header.get(b"spec", 0))) for key, header in zip(wanted, headers, strict=True)
        ]
        read |= await self._changed_specs([one for one in versions if one[1] and one not in specs])
        specs |= read
        found: list[Invocation | None] = []
        for at, key in enumerate(wanted):
            spec = specs.get(versions[at])
            tally = hash_of(replies[2 * at + 1])
            known = headers[at] and spec
            found.append(
                invocation_from(headers[at], tally, spec, round_=key.round) if known and spec else None
            )
        self._remember(read)
        return found

    def forget(self, invoke_id: InvokeId) -> None:
        """It has been dropped."""
        self._specs.pop((invoke_id, 0), None)

    async def _changed_specs(
        self, wanted: Sequence[tuple[InvokeId, int]]
    ) -> dict[tuple[InvokeId, int], InvocationSpec]:
        if not wanted:
            return {}
        blobs = await self._link.batch([("GET", keys.spec(*one)) for one in wanted])
        return {one: spec_from(blob) for one, blob in zip(wanted, blobs, strict=True) if blob is not None}

    def _remember(self, specs: dict[tuple[InvokeId, int], InvocationSpec]) -> None:
        self._specs.update(specs)
        while len(self._specs) > SPECS_KEPT:
            self._specs.popitem(last=False)
