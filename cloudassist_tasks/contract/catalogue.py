"""Every operation by its Action."""

from collections.abc import Mapping
from typing import Any

from cloudassist_tasks.contract import account, commands, extensions, instances, invocations, power
from cloudassist_tasks.contract.operation import Operation

OPERATIONS: Mapping[str, type[Operation[Any]]] = {
    operation.action(): operation
    for operation in (
        invocations.RunCommand,
        invocations.InvokeCommand,
        invocations.StopInvocation,
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
        account.DescribeAccountAttributes,
        extensions.AddInstances,
        extensions.RemoveInstance,
        extensions.DescribeRegistrations,
        extensions.SelectInstances,
        extensions.ProbeInstances,
        extensions.PrepareInstances,
        extensions.CloneCommand,
        extensions.RetryInvocation,
        extensions.DescribeRuns,
    )
}
