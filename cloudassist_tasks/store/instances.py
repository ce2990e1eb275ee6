"""Registered instances, and what their last contact showed."""

from collections.abc import Mapping, Sequence

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.instance_records import contact_fields, contact_from, instance_doc, instance_from
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.register import Register
from cloudassist_tasks.store.words import OPEN_STATUSES

CHUNK = 1_000
"""How many instances are read in one round trip."""


class RedisInstances:
    """`ports.instances.Instances`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._register = Register(link, self.get_many)

    async def add(self, instances: Sequence[Instance], *, replace: bool = False) -> None:
        args: list[str | bytes | int] = [int(replace)]
        for instance in instances:
            args += [instance.id, instance_doc(instance), instance.host_key or ""]
        known = await self._link.script(
            "add_instances",
            [keys.INSTANCES, keys.INSTANCE_CHANGES, *[keys.instance(instance.id) for instance in instances]],
            args,
        )
        if known:
            raise Refused(
                Kind.INSTANCE_EXISTS,
                f"instance {known.decode()} is registered already; remove it, or ask for its replacement",
            )

    async def remove(self, instance_id: InstanceId) -> None:
        word, open_ = b"again", list[bytes]()
        while word == b"again":  # at the first look, and when one was opened meanwhile
            word, *open_ = await self._try_to_remove(instance_id, open_)
        if word == b"missing":
            raise Refused(
                Kind.INSTANCE_NOT_FOUND,
                f"instance {instance_id} is not registered; list them to see which are",
            )
        if word == b"in_use":
            raise Refused(
                Kind.INSTANCE_IN_USE,
                f"instance {instance_id} has an open run; stop its invocation or wait for its end",
            )

    async def get(self, instance_id: InstanceId) -> Instance | None:
        return (await self.get_many([instance_id])).get(instance_id)

    async def get_many(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        found: dict[InstanceId, Instance] = {}
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            replies = await self._link.batch(
                [("HMGET", keys.instance(id_), "doc", "host_key", "status") for id_ in chunk]
            )
            for id_, (doc, host_key, status) in zip(chunk, replies, strict=True):
                hash_ = {b"doc": doc, b"host_key": host_key, b"status": status}
                instance = instance_from({name: value for name, value in hash_.items() if value})
                if instance is not None:
                    found[id_] = instance
        return found

    async def all(self) -> Sequence[Instance]:
        return await self._register.all()

    async def contacts(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Contact]:
        found: dict[InstanceId, Contact] = {}
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            replies = await self._link.batch(
                [
                    words
                    for id_ in chunk
                    for words in (("HGETALL", keys.instance(id_)), ("SCARD", keys.slots(id_)))
                ]
            )
            for at, id_ in enumerate(chunk):
                found[id_] = contact_from(hash_of(replies[2 * at]), replies[2 * at + 1])
        return found

    async def record_contact(self, instance_id: InstanceId, contact: Contact) -> None:
        """What the contact did not show (no facts, no boot id, no time) stays as it was. Nothing is kept of
        an instance that is no longer registered."""
        await self._link.script(
            "record_contact",
            [keys.instance(instance_id), keys.BOOTS],
            [
                contact.last_error,
                instance_id,
                contact.last_contact_ms,
                contact.boot_id,
                *contact_fields(contact),
            ],
        )

    async def record_zone(self, instance_id: InstanceId, zone: str) -> None:
        """Nothing is kept of an instance that is no longer registered."""
        await self._link.script("record_zone", [keys.instance(instance_id)], [zone])

    async def record_host_key(self, instance_id: InstanceId, host_key: str) -> bool:
        return bool(
            await self._link.script(
                "record_host_key",
                [keys.instance(instance_id), keys.INSTANCE_CHANGES],
                [host_key, instance_id],
            )
        )

    async def _try_to_remove(self, instance_id: InstanceId, entries: Sequence[bytes]) -> list[bytes]:
        """One step; `entries` are those of the open invocations that it is known to be a member of."""
        runs = [keys.run(RunKey(InvokeId(keys.id_of(entry)), instance_id)) for entry in entries]
        answer: list[bytes] = await self._link.script(
            "remove_instance",
            [
                keys.instance(instance_id),
                keys.INSTANCES,
                keys.OPEN,
                keys.INVOCATIONS,
                facets.of_instance(instance_id),
                keys.DUE_INSTANCES,
                keys.INSTANCE_CHANGES,
                keys.SCHEDULES,
                *runs,
            ],
            [instance_id, OPEN_STATUSES, keys.HEADERS, *entries],
        )
        return answer
