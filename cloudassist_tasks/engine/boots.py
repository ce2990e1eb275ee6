"""What is to run when an instance next starts: found by the boot id of its host, another after each boot.

Instances that something waits for are looked at now and then by the workers, and at once when a contact of
any kind has shown another boot. One boot opens one round, whoever and however many see it: the store takes
the boot that was known and the one that was seen in the step that opens the round. Where none was known, the
host's uptime tells whether it has started since it was asked for (domain/boot.py): one that was down then, or
that nobody has ever met, is waited for, and nothing is run on one that was out of reach for a moment.
"""

import logging
from collections.abc import Sequence

from cloudassist_tasks.domain.boot import Boot, KnownBoot, began_after
from cloudassist_tasks.domain.errors import Broken, RunFailed
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact
from cloudassist_tasks.domain.invocation import Invocation, RepeatMode, Why
from cloudassist_tasks.engine.fire import publish_round
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log

AT_ONCE = 50
"""Hosts that one process looks at at the same time."""

Awaiting = Sequence[tuple[Invocation, KnownBoot]]
"""Schedules that wait for the next boot of an instance, and up to which boot each is done."""


async def look(worker: Worker) -> None:
    """Begin to look at all instances whose turn it is; where there are many, as others are done with."""
    plane = worker.plane
    if worker.draining or (room := AT_ONCE - worker.looking) <= 0:
        return
    now_ms = plane.clock.now_ms()
    again_ms = now_ms + int(1_000 * plane.settings.boot_look_s)
    for instance_id in await plane.store.schedules.take_boots(now_ms=now_ms, again_ms=again_ms, limit=room):
        worker.looking += 1
        worker.spawn(_look_at(worker, instance_id))


async def _look_at(worker: Worker, instance_id: InstanceId) -> None:
    try:
        awaiting = await _awaiting(worker, instance_id)
        if awaiting:
            await _compare_all(worker, instance_id, awaiting)
    except RunFailed as fault:  # it is down, or out of reach
        log("boot_not_seen", logging.DEBUG, instance_id=instance_id, info=fault.info)
    except Broken as error:  # its turn comes again
        log("boot_look_failed", logging.WARNING, instance_id=instance_id, error=str(error))
        return
    finally:
        worker.looking -= 1
    await look(worker)


async def _awaiting(worker: Worker, instance_id: InstanceId) -> Awaiting:
    """Without those that wait no more, which are dropped."""
    schedules, found = worker.plane.store.schedules, list[tuple[Invocation, KnownBoot]]()
    for invoke_id in await schedules.awaiting_boot(instance_id):
        invocation = await worker.plane.store.invocations.get(invoke_id)
        known = await schedules.known_boot(invoke_id, instance_id)
        if invocation is not None and known is not None and _goes_on(invocation):
            found.append((invocation, known))
        else:
            await schedules.no_boot(invoke_id, instance_id)
    return found


def _goes_on(invocation: Invocation) -> bool:
    repetition = invocation.repetition
    return not invocation.finish_ms and repetition is not None and not repetition.ended


async def _compare_all(worker: Worker, instance_id: InstanceId, awaiting: Awaiting) -> None:
    """Ask the host for its boot, once for all of them."""
    plane = worker.plane
    instance = await plane.store.instances.get(instance_id)
    if instance is None:
        return
    contact = (await plane.store.instances.contacts([instance_id]))[instance_id]
    async with reached(plane, instance, contact) as it:
        boot = await it.host.boot()
        now_ms = plane.clock.now_ms()
    for invocation, known in awaiting:
        if boot.id != known.id:
            if _is_awaited(invocation, known, boot, contact, now_ms):
                await _open(worker, invocation, instance_id, known, boot)
            else:
                await plane.store.schedules.note_boot(
                    invocation.spec.id, instance_id, before=known.word, boot=boot.id
                )
    await plane.store.instances.record_contact(
        instance_id, Contact(boot_id=boot.id, boot_seen_ms=now_ms, last_contact_ms=now_ms)
    )


def _is_awaited(invocation: Invocation, known: KnownBoot, boot: Boot, contact: Contact, now_ms: int) -> bool:
    """Whether it came after it was asked for, and after the last pause. (During one no round is opened.)"""
    assert invocation.repetition is not None
    resumed_ms = invocation.repetition.resumed_ms
    if known.id and not resumed_ms:
        return True
    since_ms = max(known.asked_ms(invocation.spec.created_ms), resumed_ms)
    return began_after(
        boot, since_ms, now_ms=now_ms, earlier_id=contact.boot_id, earlier_seen_ms=contact.boot_seen_ms
    )


async def _open(
    worker: Worker, invocation: Invocation, instance_id: InstanceId, known: KnownBoot, boot: Boot
) -> None:
    """Nothing is done where a run of before is open (a later look finds it over) or others were first."""
    plane, invoke_id = worker.plane, invocation.spec.id
    last = invocation.spec.repeat_mode is RepeatMode.NEXT_REBOOT_ONLY
    opened = await plane.store.schedules.open_round(
        invoke_id,
        why=Why.BOOT,
        batch=plane.limits.batch,
        now_ms=plane.clock.now_ms(),
        only=instance_id,
        boot=(known.word, boot.id),
        last=last,
    )
    if opened is not None:
        log("boot_seen", invoke_id=invoke_id, round=opened.number, instance_id=instance_id)
        await publish_round(plane, invoke_id, opened)
        if last:
            await plane.store.schedules.no_boot(invoke_id, instance_id)
