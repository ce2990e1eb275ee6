"""What the requests of `requests.py` name: made in a store, their real ids by the names used there."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudassist_tasks import config, wiring
from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.commands import CreateCommand
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import (
    InvokeCommand,
    ModifyInvocationAttribute,
    RunCommand,
    StopInvocation,
)
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import InstanceStatus

SHELL = "RunShellScript"

NOWHERE: Mapping[str, Any] = {"host": "127.0.0.1", "port": 1}
"""Nobody listens there, and that is known at once."""

SWITCHED = ("i-on", "i-on-2", "i-on-3", "i-on-4", "i-off", "i-off-2")


async def add_instances(client: Client) -> None:
    """The instances; those called off are Stopped. Nobody listens at any of them."""
    nothing = dict.fromkeys(("start", "stop", "reboot"), "true")
    machines = [
        InstanceRegistration(instance_id="i-1", **NOWHERE, tags={"env": "test"}),
        InstanceRegistration(instance_id="i-2", **NOWHERE),
        InstanceRegistration(instance_id="i-win", **NOWHERE, os_type="windows"),
        InstanceRegistration(instance_id="i-alone", **NOWHERE),
        *(InstanceRegistration(instance_id=one, **NOWHERE, power_commands=nothing) for one in SWITCHED),
    ]
    client.send(AddInstances(instances=machines))
    settings = config.load()
    plane = await wiring.open_plane(settings, wiring.find_servers(settings))
    try:
        off = await plane.store.instances.get_many([InstanceId(one) for one in SWITCHED if "off" in one])
        stopped = [replace(one, status=InstanceStatus.STOPPED) for one in off.values()]
        await plane.store.instances.add(stopped, replace=True)
    finally:
        await plane.close()


def make_things(client: Client) -> Mapping[str, str]:
    """Commands, invocations, a file and a token that was used; their ids by name."""

    def kept(script: str, type_: str = SHELL, *, with_parameters: bool = False) -> str:
        made = client.send(
            CreateCommand(
                name="kept",
                type=type_,
                command_content=script,
                content_encoding="PlainText",
                enable_parameter=with_parameters,
            )
        )
        return made.command_id

    in_use = kept("echo in use")
    run = client.send(InvokeCommand(command_id=in_use, instance_id=["i-1"]))
    token = "used-before"
    client.send(RunCommand(type=SHELL, command_content="echo other", instance_id=["i-1"], client_token=token))
    kept_1 = kept("echo plain")
    client.send(InvokeCommand(command_id=kept_1, instance_id=["i-1"], client_token=token))
    sent = client.send(SendFile(name="a.txt", content="text", target_dir="/tmp", instance_id=["i-1"]))
    with_a = kept("echo {{a}}", with_parameters=True)

    def repeating(frequency: str | None = "rate(1d)", mode: str | None = None) -> str:
        request = InvokeCommand(
            command_id=with_a,
            instance_id=["i-1"],
            parameters={"a": "1"},
            frequency=frequency,
            repeat_mode=mode,
        )
        return client.send(request).invoke_id

    ended = repeating()
    client.send(StopInvocation(invoke_id=ended))
    again, change_token = repeating(), "changed-before"
    client.send(ModifyInvocationAttribute(invoke_id=again, client_token=change_token))
    return {
        "$repeating": again,
        "$booting": repeating(None, "EveryReboot"),
        "$ended": ended,
        "$command": kept_1,
        "$with_a": with_a,
        "$windows": kept("echo", "RunBatScript"),
        "$in_use": in_use,
        "$spare": kept("echo spare"),
        "$running": run.invoke_id,
        "$file": sent.invoke_id,
        "$day_token": token,
        "$change_token": change_token,
    }
