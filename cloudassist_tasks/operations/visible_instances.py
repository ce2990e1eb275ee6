"""The instances that a caller limited to some tags may see: to him there are no others.

Put in the place of the store's instances for one call, it narrows whatever the operation selects or lists,
without the operation's knowing.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.domain.tags import TagFilter, tags_match
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.instances import Instances


class VisibleInstances:
    """`ports.instances.Instances`, of which only those with the tags are there."""

    def __init__(self, instances: Instances, tags: TagFilter) -> None:
        self._instances = instances
        self._tags = tags

    async def add(self, instances: Sequence[Instance], *, replace: bool = False) -> None:
        await self._instances.add(instances, replace=replace)

    async def remove(self, instance_id: InstanceId) -> None:
        await self._instances.remove(instance_id)

    async def get(self, instance_id: InstanceId) -> Instance | None:
        return (await self.get_many([instance_id])).get(instance_id)

    async def get_many(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        found = await self._instances.get_many(ids)
        return {id_: instance for id_, instance in found.items() if self._sees(instance)}

    async def all(self) -> Sequence[Instance]:
        return [instance for instance in await self._instances.all() if self._sees(instance)]

    async def contacts(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Contact]:
        return await self._instances.contacts(ids)

    async def record_contact(self, instance_id: InstanceId, contact: Contact) -> None:
        await self._instances.record_contact(instance_id, contact)

    async def record_zone(self, instance_id: InstanceId, zone: str) -> None:
        await self._instances.record_zone(instance_id, zone)

    async def record_host_key(self, instance_id: InstanceId, host_key: str) -> bool:
        return await self._instances.record_host_key(instance_id, host_key)

    def _sees(self, instance: Instance) -> bool:
        return tags_match(self._tags, instance.tags)


def narrowed(plane: Plane, tags: Mapping[str, str]) -> Plane:
    """The plane of a caller who may use only instances with these tags."""
    store = copy.copy(plane.store)
    store.instances = VisibleInstances(plane.store.instances, dict(tags))
    return replace(plane, store=store)
