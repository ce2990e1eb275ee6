"""Every operation by its Action, and those of the vendor's that are still to come."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.errors import Kind, Refused

_HOMES: Mapping[str, Sequence[str]] = {
    "invocations": (
        "RunCommand",
        "InvokeCommand",
        "StopInvocation",
        "ModifyInvocationAttribute",
        "DescribeInvocations",
        "DescribeInvocationResults",
    ),
    "commands": (
        "CreateCommand",
        "ModifyCommand",
        "DeleteCommand",
        "DescribeCommands",
    ),
    "instances": (
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeCloudAssistantStatus",
        "InstallCloudAssistant",
    ),
    "power": (
        "StartInstance",
        "StopInstance",
        "RebootInstance",
        "StartInstances",
        "StopInstances",
        "RebootInstances",
    ),
    "files": (
        "SendFile",
        "DescribeSendFileResults",
    ),
    "tagging": (
        "TagResources",
        "UntagResources",
        "ListTagResources",
    ),
    "account": ("DescribeAccountAttributes",),
    "regions": ("DescribeRegions",),
    "extensions": (
        "AddInstances",
        "RemoveInstance",
        "DescribeRegistrations",
        "SelectInstances",
        "ProbeInstances",
        "PrepareInstances",
        "CloneCommand",
        "RetryInvocation",
        "DescribeRuns",
    ),
    "schedules": (
        "DescribeSchedules",
        "DescribeRounds",
        "PauseSchedule",
        "ResumeSchedule",
        "RunScheduleNow",
    ),
    "events": ("DescribeEvents",),
    "webhooks": (
        "DescribeWebhooks",
        "ResendWebhooks",
        "RemoveWebhooks",
        "RevealWebhookSecret",
    ),
    "keys": (
        "CreateAccessKey",
        "DescribeAccessKeys",
        "DisableAccessKey",
        "EnableAccessKey",
        "RotateAccessKey",
        "RemoveAccessKey",
        "ResealAccessKeys",
    ),
    "audit": ("DescribeAuditRecords",),
}
_HOME_OF = {action: home for home, actions in _HOMES.items() for action in actions}


class _Catalogue(Mapping[str, type[Operation[Any]]]):
    """All names; a type is loaded when it is asked for: together they take a tenth of a second, and nearly
    every process needs a few."""

    def __getitem__(self, action: str) -> type[Operation[Any]]:
        operation: type[Operation[Any]] = getattr(import_module(f"{__package__}.{_HOME_OF[action]}"), action)
        return operation

    def __contains__(self, action: object) -> bool:
        return action in _HOME_OF

    def __iter__(self) -> Iterator[str]:
        return iter(_HOME_OF)

    def __len__(self) -> int:
        return len(_HOME_OF)


OPERATIONS: Mapping[str, type[Operation[Any]]] = _Catalogue()

NOT_YET = frozenset({
    "DescribeCloudAssistantSettings",
    "ModifyCloudAssistantSettings",
    "CreateActivation",
    "DescribeActivations",
    "DisableActivation",
    "DeleteActivation",
    "DescribeManagedInstances",
    "ModifyManagedInstance",
    "DeregisterManagedInstance",
    "StartTerminalSession",
    "EndTerminalSession",
    "DescribeTerminalSessions",
})  # fmt: skip
"""Operations of the vendor's that are known and not carried out yet: settings, activations, managed
instances, sessions."""


def operation_named(action: str) -> type[Operation[Any]]:
    """`Refused` NOT_SUPPORTED for one that is still to come, NO_SUCH_OPERATION for any other word."""
    if action in NOT_YET:
        raise Refused(Kind.NOT_SUPPORTED, f"{action} is not supported yet; leave it out")
    if action not in OPERATIONS:
        raise Refused(Kind.NO_SUCH_OPERATION, f"there is no operation {action[:64]!r}; see the API's list")
    return OPERATIONS[action]
