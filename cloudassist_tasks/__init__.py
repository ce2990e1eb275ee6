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
    "cloudassist_tasks.contract.errors": ("describe_error",),
    "cloudassist_tasks.contract.events": ("Event",),
    "cloudassist_tasks.contract.extensions": ("InstanceRegistration", "RunState"),
    "cloudassist_tasks.contract.operation": ("Operation", "Result", "Tag"),
    "cloudassist_tasks.contract.webhooks": ("verified",),
    "cloudassist_tasks.domain.errors": ("Broken", "CloudAssistError", "Kind", "Refused"),
    "cloudassist_tasks.tasks.enqueue": ("enqueue",),
}
"""Of the names that are no operations; the catalogue knows where those are."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AddInstances",
    "AsyncClient",
    "AsyncInvocation",
    "Broken",
    "Client",
    "CloneCommand",
    "CloudAssistError",
    "CreateAccessKey",
    "CreateCommand",
    "DeleteCommand",
    "DescribeAccessKeys",
    "DescribeAccountAttributes",
    "DescribeAuditRecords",
    "DescribeCloudAssistantStatus",
    "DescribeCommands",
    "DescribeEvents",
    "DescribeInstanceStatus",
    "DescribeInstances",
    "DescribeInvocationResults",
    "DescribeInvocations",
    "DescribeRegions",
    "DescribeRegistrations",
    "DescribeRounds",
    "DescribeRuns",
    "DescribeSchedules",
    "DescribeSendFileResults",
    "DescribeWebhooks",
    "DisableAccessKey",
    "EnableAccessKey",
    "Event",
    "InstallCloudAssistant",
    "InstanceRegistration",
    "Invocation",
    "InvokeCommand",
    "Kind",
    "ListTagResources",
    "ModifyCommand",
    "ModifyInvocationAttribute",
    "Operation",
    "PauseSchedule",
    "PrepareInstances",
    "ProbeInstances",
    "RebootInstance",
    "RebootInstances",
    "Refused",
    "RemoveAccessKey",
    "RemoveInstance",
    "RemoveWebhooks",
    "ResealAccessKeys",
    "ResendWebhooks",
    "Result",
    "ResumeSchedule",
    "RetryInvocation",
    "RevealWebhookSecret",
    "RotateAccessKey",
    "RunCommand",
    "RunScheduleNow",
    "RunState",
    "SelectInstances",
    "SendFile",
    "StartInstance",
    "StartInstances",
    "StopInstance",
    "StopInstances",
    "StopInvocation",
    "Summary",
    "Tag",
    "TagResources",
    "UntagResources",
    "WaitedTooLong",
    "describe_error",
    "enqueue",
    "verified",
]

if TYPE_CHECKING:  # for type checkers and editors, which do not see what is loaded on use
    from cloudassist_tasks.client.client import AsyncClient
    from cloudassist_tasks.client.door import Client, Invocation
    from cloudassist_tasks.client.invocation import AsyncInvocation, WaitedTooLong
    from cloudassist_tasks.client.summary import Summary
    from cloudassist_tasks.contract.account import DescribeAccountAttributes
    from cloudassist_tasks.contract.audit import DescribeAuditRecords
    from cloudassist_tasks.contract.commands import (
        CreateCommand,
        DeleteCommand,
        DescribeCommands,
        ModifyCommand,
    )
    from cloudassist_tasks.contract.errors import describe_error
    from cloudassist_tasks.contract.events import DescribeEvents, Event
    from cloudassist_tasks.contract.extensions import (
        AddInstances,
        CloneCommand,
        DescribeRegistrations,
        DescribeRuns,
        InstanceRegistration,
        PrepareInstances,
        ProbeInstances,
        RemoveInstance,
        RetryInvocation,
        RunState,
        SelectInstances,
    )
    from cloudassist_tasks.contract.files import DescribeSendFileResults, SendFile
    from cloudassist_tasks.contract.instances import (
        DescribeCloudAssistantStatus,
        DescribeInstances,
        DescribeInstanceStatus,
        InstallCloudAssistant,
    )
    from cloudassist_tasks.contract.invocations import (
        DescribeInvocationResults,
        DescribeInvocations,
        InvokeCommand,
        ModifyInvocationAttribute,
        RunCommand,
        StopInvocation,
    )
    from cloudassist_tasks.contract.keys import (
        CreateAccessKey,
        DescribeAccessKeys,
        DisableAccessKey,
        EnableAccessKey,
        RemoveAccessKey,
        ResealAccessKeys,
        RotateAccessKey,
    )
    from cloudassist_tasks.contract.operation import Operation, Result, Tag
    from cloudassist_tasks.contract.power import (
        RebootInstance,
        RebootInstances,
        StartInstance,
        StartInstances,
        StopInstance,
        StopInstances,
    )
    from cloudassist_tasks.contract.regions import DescribeRegions
    from cloudassist_tasks.contract.schedules import (
        DescribeRounds,
        DescribeSchedules,
        PauseSchedule,
        ResumeSchedule,
        RunScheduleNow,
    )
    from cloudassist_tasks.contract.tagging import ListTagResources, TagResources, UntagResources
    from cloudassist_tasks.contract.webhooks import (
        DescribeWebhooks,
        RemoveWebhooks,
        ResendWebhooks,
        RevealWebhookSecret,
        verified,
    )
    from cloudassist_tasks.domain.errors import Broken, CloudAssistError, Kind, Refused
    from cloudassist_tasks.tasks.enqueue import enqueue


def __getattr__(name: str) -> object:
    """A public name, loaded on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = _loaded(name)
    return found


def _loaded(name: str) -> object:
    if name in _HOME_OF:
        found: object = getattr(import_module(_HOME_OF[name]), name)
        return found
    from cloudassist_tasks.contract.catalogue import OPERATIONS  # not for who imports the package alone

    return OPERATIONS[name]


def __dir__() -> list[str]:
    return sorted(__all__)
