"""Instances: what was registered, and what contacts have shown of their hosts."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, Instance


class Instances(Protocol):
    async def add(self, instances: Sequence[Instance], *, replace: bool = False) -> None:
        """Register all or none. `Refused(INSTANCE_EXISTS)` naming the first known one, unless `replace`."""

    async def remove(self, instance_id: InstanceId) -> None:
        """`Refused(INSTANCE_NOT_FOUND)`; `Refused(INSTANCE_IN_USE)` while a run of it is open."""

    async def get(self, instance_id: InstanceId) -> Instance | None: ...

    async def get_many(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """The known ones among them."""

    async def all(self) -> Sequence[Instance]:
        """Every instance as it is now, in natural order of the ids (i-2 before i-10). Read at the first call,
        later only what has changed."""

    async def contacts(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Contact]:
        """What is known of each; an instance never met has an empty Contact."""

    async def record_contact(self, instance_id: InstanceId, contact: Contact) -> None:
        """Facts, boot id, time and error of the last contact; the counters of runs are not touched."""

    async def record_zone(self, instance_id: InstanceId, zone: str) -> None:
        """The time zone that its host has just said; empty: it says none, so none is known."""

    async def record_host_key(self, instance_id: InstanceId, host_key: str) -> bool:
        """Keep the key seen at the first contact. False, and nothing done, if one stands there already."""
