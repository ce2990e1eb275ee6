"""Every operation by its Action, and those of the vendor's that are still to come."""

from collections.abc import Mapping
from typing import Any

from cloudassist_tasks.contract import (
    account,
    audit,
    commands,
    events,
    extensions,
    files,
    instances,
    invocations,
    keys,
    power,
    regions,
    schedules,
    tagging,
    webhooks,
)
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.errors import Kind, Refused

OPERATIONS: Mapping[str, type[Operation[Any]]] = {
    operation.action(): operation
    for operation in (
        invocations.RunCommand,
        invocations.InvokeCommand,
        invocations.StopInvocation,
        invocations.ModifyInvocationAttribute,
        invocations.DescribeInvocations,
        invocations.DescribeInvocationResults,
        commands.CreateCommand,
        commands.ModifyCommand,
        commands.DeleteCommand,
        commands.DescribeCommands,
        instances.DescribeInstances,
        instances.DescribeInstanceStatus,
        instances.DescribeCloudAssistantStatus,
        instances.InstallCloudAssistant,
        power.StartInstance,
        power.StopInstance,
        power.RebootInstance,
        power.StartInstances,
        power.StopInstances,
        power.RebootInstances,
        files.SendFile,
        files.DescribeSendFileResults,
        tagging.TagResources,
        tagging.UntagResources,
        tagging.ListTagResources,
        account.DescribeAccountAttributes,
        regions.DescribeRegions,
        extensions.AddInstances,
        extensions.RemoveInstance,
        extensions.DescribeRegistrations,
        extensions.SelectInstances,
        extensions.ProbeInstances,
        extensions.PrepareInstances,
        extensions.CloneCommand,
        extensions.RetryInvocation,
        extensions.DescribeRuns,
        schedules.DescribeSchedules,
        schedules.DescribeRounds,
        schedules.PauseSchedule,
        schedules.ResumeSchedule,
        schedules.RunScheduleNow,
        events.DescribeEvents,
        webhooks.DescribeWebhooks,
        webhooks.ResendWebhooks,
        webhooks.RemoveWebhooks,
        webhooks.RevealWebhookSecret,
        keys.CreateAccessKey,
        keys.DescribeAccessKeys,
        keys.DisableAccessKey,
        keys.EnableAccessKey,
        keys.RotateAccessKey,
        keys.RemoveAccessKey,
        keys.ResealAccessKeys,
        audit.DescribeAuditRecords,
    )
}

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
