"""Reaching an instance on behalf of a run, and keeping what the contact taught us."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed, Unreachable
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, Instance
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.transport import Reached

RECORD_EVERY_MS = 60_000
"""A contact that taught nothing new is recorded at most so often; it counts as online for two minutes."""

SWEEP_EVERY_MS = 86_400_000
MOST_JUMPS = 5


@asynccontextmanager
async def reached(
    plane: Plane, instance: Instance, contact: Contact | None, *, prepare: bool = False
) -> AsyncIterator[Reached]:
    """The instance's host. Facts, a host key first seen and the time of the contact are stored; so is why it
    failed. Raises `Unreachable`."""
    known = contact or Contact()
    try:
        jump = await _jumps(plane, instance)
        async with plane.transport.reach(instance, facts=known.facts, jump=jump, prepare=prepare) as it:
            recorded = await _learn(plane, instance, known, it)
            yield it
            if recorded:
                await _sweep_daily(plane, instance, it)
    except Unreachable as error:
        if known.last_error != error.info:
            await plane.store.instances.record_contact(instance.id, replace(known, last_error=error.info))
        raise


async def _jumps(plane: Plane, instance: Instance) -> Sequence[Instance]:
    """The instances to pass, nearest to us first."""
    chain: list[Instance] = []
    seen: set[InstanceId] = {instance.id}
    at = instance
    while at.jump is not None:
        nearer = await plane.store.instances.get(at.jump)
        if nearer is None:
            raise Unreachable(
                ErrorCode.CLIENT_NETWORK_BLOCKED,
                f"{at.id} is reached through {at.jump}, which is not registered; add it",
                retry_helps=False,
            )
        if nearer.id in seen or len(chain) >= MOST_JUMPS:
            raise Unreachable(
                ErrorCode.CLIENT_NETWORK_BLOCKED,
                f"the jump hosts of {instance.id} lead in a circle or are more than {MOST_JUMPS}",
                retry_helps=False,
            )
        seen.add(nearer.id)
        chain.insert(0, nearer)
        at = nearer
    return chain


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
        await plane.store.instances.record_contact(
            instance.id,
            replace(
                known,
                facts=it.facts,
                boot_id=it.facts.boot_id or known.boot_id,
                last_contact_ms=now_ms,
                last_error="",
            ),
        )
        return True
    return False
