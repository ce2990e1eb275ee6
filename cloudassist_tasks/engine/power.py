"""Switch machines: record the wish, have a worker run the owner's command line, record what came of it.

At most once: a command that was taken is never run again, whoever dies. An action that nobody took, or whose
worker is gone, ends where it began, with the reason; whether the command took effect is then unknown.
"""

import logging
from collections.abc import Sequence

from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Instance, InstanceStatus
from cloudassist_tasks.domain.power import (
    PASSAGES,
    WISHES,
    PowerAction,
    PowerKey,
    PowerRecord,
    check_switch,
    power_command,
    wrong_status,
)
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log

QUEUE_S = 120
"""A worker takes an action up within this time, or it is given up."""
GRACE_S = 15
"""Beyond the command's own time, until a silent worker is given up."""
GOING_DOWN_S = 60
"""For how long a machine may still answer after the command that stopped it."""
OVERDUE_AT_A_TIME = 100


async def begin(plane: Plane, instance: Instance, action: PowerAction, *, force: bool = False) -> PowerKey:
    """Record the wish. `Refused` POWER_DENIED, WRONG_INSTANCE_STATUS, INSTANCE_NOT_FOUND."""
    check_switch(instance, action)
    now_ms = plane.clock.now_ms()
    record = PowerRecord(id=plane.new_id("p-"), action=action, asked_ms=now_ms, force=force)
    begun = await plane.store.power.begin(
        instance.id, record, PASSAGES[action], due_ms=now_ms + 1_000 * QUEUE_S
    )
    if not begun.status:
        raise Refused(Kind.INSTANCE_NOT_FOUND, f"{instance.id} is not registered any more; see `instance ls`")
    if not begun.done:
        raise wrong_status(instance.id, begun.status, action)
    return PowerKey(instance_id=instance.id, power_id=record.id)


async def publish(plane: Plane, keys: Sequence[PowerKey], action: PowerAction) -> None:
    """Tell workers. With the broker away the wishes are taken back: `Broken`."""
    try:
        await plane.dispatch.publish_power(keys)
    except Broken:
        await take_back(plane, keys, action, "the broker was away")
        raise
    for key in keys:
        log("power_asked", instance_id=key.instance_id, action=action, power_id=key.power_id)


async def take_back(plane: Plane, keys: Sequence[PowerKey], action: PowerAction, why: str) -> None:
    """As if nobody had asked; unless somebody is at it already."""
    status, now_ms = PASSAGES[action].needs, plane.clock.now_ms()
    for key in keys:
        await plane.store.power.end(key, status, error=why, now_ms=now_ms, unless_at_it=True)


async def carry_out(plane: Plane, key: PowerKey) -> None:
    """Run the command: the task's body, in a worker. A second delivery does nothing."""
    within_s = plane.settings.power_timeout_s
    due_ms = plane.clock.now_ms() + int(1_000 * (within_s + GRACE_S))
    record = await plane.store.power.take(key, due_ms=due_ms)
    if record is None:
        return
    passage = PASSAGES[record.action]
    error = await _run(plane, key.instance_id, record, within_s)
    status = passage.needs if error else passage.after
    await _end(plane, key, record.action, status, error)


async def wish(plane: Plane, instance_id: InstanceId, exit_code: int | None) -> None:
    """A script may ask by its exit code for its machine to be switched off or restarted. Done only where the
    owner gave a command for that; else it stands in the log and in the run, and no more."""
    action = WISHES.get(exit_code) if exit_code is not None else None
    if action is None:
        return
    instance = await plane.store.instances.get(instance_id)
    if instance is None:
        return
    try:
        key = await begin(plane, instance, action)
        await publish(plane, [key], action)
    except (Refused, Broken) as error:
        log("power_wish_not_done", instance_id=instance_id, action=action, why=str(error))


async def expire(plane: Plane) -> None:
    """Give up what should have ended by now."""
    overdue = await plane.store.power.overdue(now_ms=plane.clock.now_ms(), limit=OVERDUE_AT_A_TIME)
    records = await plane.store.power.last([key.instance_id for key in overdue])
    error = "no worker took it up, or the one that did is gone; whether it took effect is unknown"
    for key in overdue:
        record = records.get(key.instance_id)
        action = record.action if record is not None else PowerAction.REBOOT  # the instance is gone
        await _end(plane, key, action, PASSAGES[action].needs, error, unless_at_it=True)


async def seen(plane: Plane, instance: Instance) -> None:
    """It has answered. One that was stopped a while ago has been started by somebody else; just after a stop
    it may only be on its way down."""
    if instance.status is InstanceStatus.STOPPED:
        before_ms = plane.clock.now_ms() - 1_000 * GOING_DOWN_S
        if await plane.store.power.see_running(instance.id, ended_before_ms=before_ms):
            log("power_seen", instance_id=instance.id, status=InstanceStatus.RUNNING)


async def _run(plane: Plane, instance_id: InstanceId, record: PowerRecord, within_s: float) -> str:
    """Why it failed; empty if it did not."""
    instance = await plane.store.instances.get(instance_id)
    if instance is None:
        return "the instance is no longer registered"
    try:
        command = power_command(instance, record.action)
    except Refused as refusal:
        return refusal.message
    end = await plane.switch.run(command, _environment(instance, record), within_s=within_s)
    if end.exit_code == 0:
        return ""
    how = "was killed" if end.exit_code is None else f"ended with exit code {end.exit_code}"
    within = f" after {within_s:.0f} s" if end.exit_code is None else ""
    return f"the {record.action} command {how}{within}{f': {end.said}' if end.said else ''}"


def _environment(instance: Instance, record: PowerRecord) -> dict[str, str]:
    return {
        "CLOUDASSIST_INSTANCE_ID": instance.id,
        "CLOUDASSIST_INSTANCE_NAME": instance.name,
        "CLOUDASSIST_INSTANCE_HOST": instance.host,
        "CLOUDASSIST_POWER_ACTION": record.action,
        "CLOUDASSIST_POWER_FORCE": "1" if record.force else "0",
    }


async def _end(
    plane: Plane,
    key: PowerKey,
    action: PowerAction,
    status: InstanceStatus,
    error: str,
    *,
    unless_at_it: bool = False,
) -> None:
    now_ms, end = plane.clock.now_ms(), plane.store.power.end
    if await insist(lambda: end(key, status, error=error, now_ms=now_ms, unless_at_it=unless_at_it)):
        level = logging.WARNING if error else logging.INFO
        log("power_ended", level, instance_id=key.instance_id, action=action, status=status, error=error)
