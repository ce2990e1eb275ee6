"""CloudAssist: run scripts on one server or ten thousand, watch them, stop them.

    from cloudassist_tasks import Client

    with Client() as client:
        invocation = client.run("uptime", instances=["i-1", "i-2"])
        for run in invocation:
            print(run.instance_id, run.exit_code, run.output)

The public names stand in `__all__`. They are loaded when they are used: importing the package costs
nothing, and a client loads no server.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOMES = {
    "cloudassist_tasks.client.client": ("AsyncClient",),
    "cloudassist_tasks.client.door": ("Client", "Invocation"),
    "cloudassist_tasks.client.invocation": ("AsyncInvocation", "WaitedTooLong"),
    "cloudassist_tasks.client.summary": ("Summary",),
    "cloudassist_tasks.contract.account": ("DescribeAccountAttributes",),
    "cloudassist_tasks.contract.commands": (
        "CreateCommand",
        "DeleteCommand",
        "DescribeCommands",
        "ModifyCommand",
    ),
    "cloudassist_tasks.contract.errors": ("describe_error",),
    "cloudassist_tasks.contract.extensions": (
        "AddInstances",
        "CloneCommand",
        "DescribeRegistrations",
        "DescribeRuns",
        "InstanceRegistration",
        "PrepareInstances",
        "ProbeInstances",
        "RemoveInstance",
        "RetryInvocation",
        "RunState",
        "SelectInstances",
    ),
    "cloudassist_tasks.contract.instances": (
        "DescribeCloudAssistantStatus",
        "DescribeInstanceStatus",
        "DescribeInstances",
        "InstallCloudAssistant",
    ),
    "cloudassist_tasks.contract.invocations": (
        "DescribeInvocationResults",
        "DescribeInvocations",
        "InvokeCommand",
        "RunCommand",
        "StopInvocation",
    ),
    "cloudassist_tasks.contract.operation": ("Operation", "Result", "Tag"),
    "cloudassist_tasks.domain.errors": ("Broken", "CloudAssistError", "Kind", "Refused"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AddInstances",
    "AsyncClient",
    "AsyncInvocation",
    "Broken",
    "Client",
    "CloneCommand",
    "CloudAssistError",
    "CreateCommand",
    "DeleteCommand",
    "DescribeAccountAttributes",
    "DescribeCloudAssistantStatus",
    "DescribeCommands",
    "DescribeInstanceStatus",
    "DescribeInstances",
    "DescribeInvocationResults",
    "DescribeInvocations",
    "DescribeRegistrations",
    "DescribeRuns",
    "InstallCloudAssistant",
    "InstanceRegistration",
    "Invocation",
    "InvokeCommand",
    "Kind",
    "ModifyCommand",
    "Operation",
    "PrepareInstances",
    "ProbeInstances",
    "Refused",
    "RemoveInstance",
    "Result",
    "RetryInvocation",
    "RunCommand",
    "RunState",
    "SelectInstances",
    "StopInvocation",
    "Summary",
    "Tag",
    "WaitedTooLong",
    "describe_error",
]

if TYPE_CHECKING:  # for type checkers and editors; nothing is hidden from a cycle
    from cloudassist_tasks.client.client import AsyncClient as AsyncClient
    from cloudassist_tasks.client.door import Client as Client
    from cloudassist_tasks.client.door import Invocation as Invocation
    from cloudassist_tasks.client.invocation import AsyncInvocation as AsyncInvocation
    from cloudassist_tasks.client.invocation import WaitedTooLong as WaitedTooLong
    from cloudassist_tasks.client.summary import Summary as Summary
    from cloudassist_tasks.contract.account import DescribeAccountAttributes as DescribeAccountAttributes
    from cloudassist_tasks.contract.commands import CreateCommand as CreateCommand
    from cloudassist_tasks.contract.commands import DeleteCommand as DeleteCommand
    from cloudassist_tasks.contract.commands import DescribeCommands as DescribeCommands
    from cloudassist_tasks.contract.commands import ModifyCommand as ModifyCommand
    from cloudassist_tasks.contract.errors import describe_error as describe_error
    from cloudassist_tasks.contract.extensions import AddInstances as AddInstances
    from cloudassist_tasks.contract.extensions import CloneCommand as CloneCommand
    from cloudassist_tasks.contract.extensions import DescribeRegistrations as DescribeRegistrations
    from cloudassist_tasks.contract.extensions import DescribeRuns as DescribeRuns
    from cloudassist_tasks.contract.extensions import InstanceRegistration as InstanceRegistration
    from cloudassist_tasks.contract.extensions import PrepareInstances as PrepareInstances
    from cloudassist_tasks.contract.extensions import ProbeInstances as ProbeInstances
    from cloudassist_tasks.contract.extensions import RemoveInstance as RemoveInstance
    from cloudassist_tasks.contract.extensions import RetryInvocation as RetryInvocation
    from cloudassist_tasks.contract.extensions import RunState as RunState
    from cloudassist_tasks.contract.extensions import SelectInstances as SelectInstances
    from cloudassist_tasks.contract.instances import (
        DescribeCloudAssistantStatus as DescribeCloudAssistantStatus,
    )
    from cloudassist_tasks.contract.instances import DescribeInstances as DescribeInstances
    from cloudassist_tasks.contract.instances import DescribeInstanceStatus as DescribeInstanceStatus
    from cloudassist_tasks.contract.instances import InstallCloudAssistant as InstallCloudAssistant
    from cloudassist_tasks.contract.invocations import DescribeInvocationResults as DescribeInvocationResults
    from cloudassist_tasks.contract.invocations import DescribeInvocations as DescribeInvocations
    from cloudassist_tasks.contract.invocations import InvokeCommand as InvokeCommand
    from cloudassist_tasks.contract.invocations import RunCommand as RunCommand
    from cloudassist_tasks.contract.invocations import StopInvocation as StopInvocation
    from cloudassist_tasks.contract.operation import Operation as Operation
    from cloudassist_tasks.contract.operation import Result as Result
    from cloudassist_tasks.contract.operation import Tag as Tag
    from cloudassist_tasks.domain.errors import Broken as Broken
    from cloudassist_tasks.domain.errors import CloudAssistError as CloudAssistError
    from cloudassist_tasks.domain.errors import Kind as Kind
    from cloudassist_tasks.domain.errors import Refused as Refused


def __getattr__(name: str) -> object:
    """A public name, loaded on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
