"""`cloudassist instance start|stop|reboot`: by the power commands of the instances."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from cloudassist_tasks.cli.render import note
from cloudassist_tasks.cli.session import opened
from cloudassist_tasks.contract.extensions import RegistrationItem
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.power import RebootInstance, StartInstance, StopInstance

InstanceIds = Annotated[list[str], typer.Argument(metavar="ID…", help="The instances.")]
Force = Annotated[
    bool, typer.Option("--force", help="Tell the command so: CLOUDASSIST_POWER_FORCE=1 in its environment.")
]


def start(instance_ids: InstanceIds) -> None:
    """Have a worker run the instances' start commands."""
    _switch(instance_ids, "start", lambda one: StartInstance(instance_id=one))


def stop(instance_ids: InstanceIds, force: Force = False) -> None:
    """Have a worker run the instances' stop commands."""
    _switch(instance_ids, "stop", lambda one: StopInstance(instance_id=one, force_stop=force))


def reboot(instance_ids: InstanceIds, force: Force = False) -> None:
    """Have a worker run the instances' reboot commands."""
    _switch(instance_ids, "reboot", lambda one: RebootInstance(instance_id=one, force_stop=force))


def commands_given(**commands: str | None) -> Mapping[str, str]:
    """Those of the options that were given."""
    return {action: command for action, command in commands.items() if command is not None}


def power_text(item: RegistrationItem) -> str:
    """What can be done, and what was done last. The commands themselves may hold a password: not shown."""
    able = ", ".join(sorted(item.registration.power_commands)) or "cannot be switched"
    if item.power is None:
        return able
    done = item.power
    when = f"ended {done.end_time}" if done.end_time else f"asked {done.asked_time}"
    return f"{able}; last {done.action}, {when}{f': {done.error}' if done.error else ''}"


def power_json(item: RegistrationItem) -> dict[str, object]:
    """The same as an object."""
    done = item.power
    return {
        "able": sorted(item.registration.power_commands),
        "action": done.action if done else None,
        "asked_time": done.asked_time if done else None,
        "end_time": done.end_time if done else None,
        "error": done.error if done else None,
    }


def _switch(instance_ids: list[str], action: str, request: Callable[[str], Operation[Any]]) -> None:
    with opened() as session:
        for instance_id in dict.fromkeys(instance_ids):
            session.ask(request(instance_id))
            note(f"{instance_id}: {action} asked for; see `cloudassist instance show {instance_id}`")
