"""Prepare instances, and ask whether they answer: contacts that belong to no run."""

import asyncio
from collections.abc import Mapping, Sequence

from cloudassist_tasks.domain.errors import RunFailed
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.engine import power
from cloudassist_tasks.engine.host_contact import reached, read_zone
from cloudassist_tasks.engine.plane import Plane

AT_ONCE = 50


async def prepare(plane: Plane, instance: Instance) -> Contact:
    """Install the helper anew. `Unreachable` says why it could not be done."""
    contact = (await plane.store.instances.contacts([instance.id])).get(instance.id)
    async with reached(plane, instance, contact, prepare=True):
        pass
    return (await plane.store.instances.contacts([instance.id]))[instance.id]


async def probe(
    plane: Plane, instances: Sequence[Instance], *, within_s: float
) -> Mapping[InstanceId, Contact]:
    """Contact each now, `AT_ONCE` at a time, and give what is known afterwards: its time zone as it is now,
    or in `last_error` why it did not answer. Those that do not answer within the time in all keep what was
    known."""
    ids = [instance.id for instance in instances]
    before = await plane.store.instances.contacts(ids)
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(instance: Instance) -> None:
        async with gate:
            try:
                async with reached(plane, instance, before.get(instance.id)) as it:
                    await power.seen(plane, instance)
                    await read_zone(plane, instance, before.get(instance.id), it)
            except RunFailed:
                pass  # stands in the contact

    asking = [asyncio.ensure_future(ask(instance)) for instance in instances]
    if asking:
        _, late = await asyncio.wait(asking, timeout=within_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return await plane.store.instances.contacts(ids)
