"""Switching a machine on and off: which action fits which state, and what it leaves.

A machine is switched by a command line of its owner's (`Instance.power_commands`) and by nothing else; one
without such a command is taken for Running and is never switched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Instance, InstanceStatus, TransportKind


class PowerAction(StrEnum):
    """The keys of `Instance.power_commands`."""

    START = "start"
    STOP = "stop"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The states that an action goes through."""

    needs: InstanceStatus
    """Where it begins, and where the instance is again if the command fails."""
    during: InstanceStatus
    after: InstanceStatus


S = InstanceStatus

PASSAGES: Mapping[PowerAction, Passage] = {
    PowerAction.START: Passage(needs=S.STOPPED, during=S.STARTING, after=S.RUNNING),
    PowerAction.STOP: Passage(needs=S.RUNNING, during=S.STOPPING, after=S.STOPPED),
    PowerAction.REBOOT: Passage(needs=S.RUNNING, during=S.STARTING, after=S.RUNNING),
}

WISHES: Mapping[int, PowerAction] = {193: PowerAction.STOP, 194: PowerAction.REBOOT}
"""Exit codes by which a script asks for its machine to be switched when it has ended. Source: the vendor's
agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRecord:
    """The last time that somebody switched an instance, or tried to."""

    id: str
    action: PowerAction
    asked_ms: int
    ended_ms: int = 0
    """0: it has not ended."""
    error: str = ""
    """Why it failed; empty while it has not."""
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerKey:
    """One action on one instance; a message carries nothing else."""

    instance_id: InstanceId
    power_id: str


def power_command(instance: Instance, action: PowerAction) -> str:
    """The owner's command line. `Refused(POWER_DENIED)` where there is none."""
    command = instance.power_commands.get(action)
    if not command or instance.transport is TransportKind.LOCAL:
        raise Refused(
            Kind.POWER_DENIED,
            f"{instance.id} has no {action} command; register it again with --power-{action}",
        )
    return command


def check_switch(instance: Instance, action: PowerAction) -> None:
    """`Refused` POWER_DENIED, WRONG_INSTANCE_STATUS."""
    power_command(instance, action)
    if instance.status is not PASSAGES[action].needs:
        raise wrong_status(instance.id, instance.status, action)


def wrong_status(instance_id: InstanceId, status: str, action: PowerAction) -> Refused:
    """The action does not fit the state that the instance is in."""
    return Refused(
        Kind.WRONG_INSTANCE_STATUS,
        f"{instance_id} is {status}, {action} needs it {PASSAGES[action].needs}; wait, or see"
        f" `cloudassist instance show {instance_id}`",
    )
