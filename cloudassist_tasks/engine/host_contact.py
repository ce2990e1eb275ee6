"""Reaching an instance on behalf of a run, and keeping what the contact taught us."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from cloudassist_tasks.domain.errors import ErrorCode, Refused, RunFailed, Unreachable
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, HostFacts, Instance
from cloudassist_tasks.domain.registration import jump_path
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.transport import Reached

RECORD_EVERY_MS = 60_000
"""A contact that taught nothing new is recorded at most so often; it counts as online for two minutes."""

SWEEP_EVERY_MS = 86_400_000


@asynccontextmanager
async def reached(
    plane: Plane,
    instance: Instance,
    contact: Contact | None,
    *,
    prepare: bool = False,
    on_silence: Callable[[], object] | None = None,
) -> AsyncIterator[Reached]:
    """The instance's host. Facts, a host key first seen and the time of the contact are stored; so is why it
    failed: `Unreachable`, or another `RunFailed` if the host cannot be prepared."""
    known = contact or Contact()
    async with AsyncExitStack() as stack:
        try:
            jump = await _jumps(plane, instance)
            reaching = plane.transport.reach(
                instance, facts=known.facts, jump=jump, prepare=prepare, on_silence=on_silence
            )
            it = await stack.enter_async_context(reaching)
        except RunFailed as fault:
            if known.last_error != fault.info:
                await plane.store.instances.record_contact(instance.id, Contact(last_error=fault.info))
            raise
        recorded = await _learn(plane, instance, known, it)
        yield it
        if it.host.facts != it.facts:  # the helper had to be installed anew meanwhile
            await plane.store.instances.record_contact(instance.id, _prepared(plane, it.host.facts))
        if recorded:
            await _sweep_daily(plane, instance, it)


async def read_zone(plane: Plane, instance: Instance, contact: Contact | None, it: Reached) -> None:
    """Ask the host for its time zone, and keep it. `RunFailed` if it does not answer."""
    zone = await it.host.zone()
    if contact is None or contact.zone != zone:
        await plane.store.instances.record_zone(instance.id, zone)


async def _jumps(plane: Plane, instance: Instance) -> Sequence[Instance]:
    """The instances to pass, nearest to us first."""
    by_id: dict[InstanceId, Instance] = {}
    at = instance
    while at.jump is not None and at.jump not in by_id:
        nearer = await plane.store.instances.get(at.jump)
        if nearer is None:
            break
        by_id[nearer.id] = at = nearer
    try:
        return jump_path(instance, by_id)
    except Refused as error:
        raise Unreachable(ErrorCode.CLIENT_NETWORK_BLOCKED, error.message, retry_helps=False) from error


async def _sweep_daily(plane: Plane, instance: Instance, it: Reached) -> None:
    """What no delivery can ask for any more leaves the host; nobody's run fails by it."""
    if await plane.store.turn(f"sweep:{instance.id}", for_ms=SWEEP_EVERY_MS):
        try:
            await it.host.sweep(retention_days=plane.limits.retention_s // 86_400 + 1)
        except RunFailed as fault:
            log("sweep_failed", logging.WARNING, instance_id=instance.id, info=fault.info)


async def _learn(plane: Plane, instance: Instance, known: Contact, it: Reached) -> bool:
    """True if the contact was worth recording."""
    now_ms = plane.clock.now_ms()
    if it.host_key is not None and instance.host_key is None:
        await plane.store.instances.record_host_key(instance.id, it.host_key)
    fresh = now_ms - known.last_contact_ms < RECORD_EVERY_MS
    if it.prepared or not fresh or it.facts != known.facts or known.last_error:
        shown = Contact(facts=it.facts, last_contact_ms=now_ms)
        await plane.store.instances.record_contact(
            instance.id, _prepared(plane, it.facts) if it.prepared else shown
        )
        return True
    return False


def _prepared(plane: Plane, facts: HostFacts) -> Contact:
    """What preparing a host has shown. Facts that were known before tell nothing of the boot it is in now."""
    now_ms = plane.clock.now_ms()
    return Contact(
        facts=facts,
        boot_id=facts.boot_id,
        boot_seen_ms=now_ms,
        zone=facts.zone,
        last_contact_ms=now_ms,
    )
