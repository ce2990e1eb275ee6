"""Invocations and rounds, as they stand: what changes is read, what does not is remembered."""

from collections import OrderedDict
from collections.abc import Sequence

from cloudassist_tasks.domain.ids import InvokeId, RoundKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationSpec
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of, int_in
from cloudassist_tasks.store.invocation_records import invocation_from
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.spec_records import spec_from

SPECS_KEPT = 256
"""How many specs a process remembers; they never change, and a worker asks for the same one all the time."""

SpecKey = tuple[InvokeId, int]
"""With the version."""

Specs = dict[SpecKey, InvocationSpec]


class InvocationLoading:
    """Of one link; remembers the specs that it has met."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._specs: OrderedDict[SpecKey, InvocationSpec] = OrderedDict()

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
        flats, blobs = replies[: 2 * len(wanted)], replies[2 * len(wanted) :]
        specs.update(self._learned([(id_, 0) for id_ in fresh], blobs))
        return await self.made(wanted, flats, specs)

    async def made(
        self, wanted: Sequence[RoundKey], flats: Sequence[Sequence[bytes]], specs: Specs | None = None
    ) -> Sequence[Invocation | None]:
        """The same of what was read of each: header and tally, in turn. One round trip, if a spec is neither
        among `specs` nor, without these, remembered."""
        hashes = [hash_of(flat) for flat in flats]
        headers, tallies = hashes[::2], hashes[1::2]
        versions = [
            (key.invoke_id, int_in(header, b"spec")) for key, header in zip(wanted, headers, strict=True)
        ]
        known = dict(self._specs) if specs is None else specs
        missing = {one for one, header in zip(versions, headers, strict=True) if header and one not in known}
        known = known | await self._read(list(missing)) if missing else known
        return [
            invocation_from(header, tally, known[version], round_=key.round)
            if header and version in known
            else None
            for key, version, header, tally in zip(wanted, versions, headers, tallies, strict=True)
        ]

    def forget(self, invoke_id: InvokeId) -> None:
        """It has been dropped."""
        self._specs.pop((invoke_id, 0), None)

    async def _read(self, wanted: Sequence[SpecKey]) -> Specs:
        return self._learned(wanted, await self._link.batch([("GET", keys.spec(*one)) for one in wanted]))

    def _learned(self, wanted: Sequence[SpecKey], blobs: Sequence[bytes | None]) -> Specs:
        """Remembered from now on."""
        specs = {one: spec_from(blob) for one, blob in zip(wanted, blobs, strict=True) if blob is not None}
        self._specs.update(specs)
        while len(self._specs) > SPECS_KEPT:
            self._specs.popitem(last=False)
        return specs
