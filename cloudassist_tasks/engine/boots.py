"""What is to run when an instance next starts: found by the boot id of its host, another after each boot.

Instances that something waits for are looked at now and then by the workers, and at once when a contact of
any kind has shown another boot. One boot opens one round, whoever and however many see it: the store takes
the boot that was known and the one that was seen in the step that opens the round.
"""

import logging

from cloudassist_tasks.domain.errors import Broken, RunFailed
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import RepeatMode, Why
from cloudassist_tasks.engine.fire import publish_round
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log

AT_ONCE = 50
"""Hosts that one process looks at at the same time."""

DOWN = "-"
"""In place of a boot: it could not be reached, so the next contact shows a boot that came later."""


async def look(worker: Worker) -> None:
    """Begin to look at all instances whose turn it is."""
    plane = worker.plane
    if (room := AT_ONCE - worker.looking) <= 0:
        return
    now_ms = plane.clock.now_ms()
    again_ms = now_ms + int(1_000 * plane.settings.boot_look_s)
    for instance_id in await plane.store.schedules.take_boots(now_ms=now_ms, again_ms=again_ms, limit=room):
        worker.looking += 1
        worker.spawn(_look_at(worker, instance_id))


async def _look_at(worker: Worker, instance_id: InstanceId) -> None:
    try:
        awaiting = [
            one
            for one in await worker.plane.store.schedules.awaiting_boot(instance_id)
            if await _still_awaits(worker, one, instance_id)
        ]
        if awaiting:
            boot = await _boot_of(worker, instance_id)
            for invoke_id in awaiting:
                await _compare(worker, invoke_id, instance_id, boot)
    except Broken as error:  # its turn comes again
        log("boot_look_failed", logging.WARNING, instance_id=instance_id, error=str(error))
    finally:
        worker.looking -= 1


async def _still_awaits(worker: Worker, invoke_id: InvokeId, instance_id: InstanceId) -> bool:
    plane = worker.plane
    invocation = await plane.store.invocations.get(invoke_id)
    open_ = invocation is not None and not invocation.finish_ms
    if open_ and invocation is not None and invocation.repetition and not invocation.repetition.ended:
        return True
    await plane.store.schedules.no_boot(invoke_id, instance_id)
    return False


async def _boot_of(worker: Worker, instance_id: InstanceId) -> str:
    """The boot id that its host says now; DOWN if it does not answer."""
    plane = worker.plane
    instance = await plane.store.instances.get(instance_id)
    if instance is None:
        return DOWN
    contact = (await plane.store.instances.contacts([instance_id]))[instance_id]
    try:
        async with reached(plane, instance, contact) as it:
            return await it.host.boot_id()
    except RunFailed as fault:
        log("boot_not_seen", logging.DEBUG, instance_id=instance_id, info=fault.info)
        return DOWN


async def _compare(worker: Worker, invoke_id: InvokeId, instance_id: InstanceId, boot: str) -> None:
    plane, schedules = worker.plane, worker.plane.store.schedules
    known = await schedules.known_boot(invoke_id, instance_id)
    if boot in (known, DOWN):
        if not known:
            await schedules.note_boot(invoke_id, instance_id, before="", boot=DOWN)
        return
    invocation = await plane.store.invocations.get(invoke_id)
    if invocation is None or invocation.repetition is None:
        return
    if not known or invocation.repetition.paused:  # the one in which it was asked for
        await schedules.note_boot(invoke_id, instance_id, before=known, boot=boot)
        return
    opened = await schedules.open_round(
        invoke_id,
        why=Why.BOOT,
        batch=plane.limits.batch,
        now_ms=plane.clock.now_ms(),
        only=instance_id,
        boot=(known, boot),
        last=invocation.spec.repeat_mode is RepeatMode.NEXT_REBOOT_ONLY,
    )
    if opened is not None:
        log("boot_seen", invoke_id=invoke_id, round=opened.number, instance_id=instance_id)
        await publish_round(plane, invoke_id, opened)
        if invocation.spec.repeat_mode is RepeatMode.NEXT_REBOOT_ONLY:
            await schedules.no_boot(invoke_id, instance_id)
