"""Requests as flat parameters: one that is right for each operation, and the things they name.

A value that begins with `$` stands for the id of something that the tests make first: see `WORLD`.
"""

from collections.abc import Mapping

Given = dict[str, str | None]
"""Parameters; None takes one away."""

WORLD = {
    "$command": "a kept command without parameters",
    "$with_a": "a kept command with the parameter a",
    "$windows": "a kept command for Windows",
    "$running": "an open invocation of $in_use on i-1",
    "$in_use": "a kept command with an open invocation",
    "$repeating": "a schedule of a kept command with the parameter a, on i-1",
    "$booting": "what runs at each boot of i-1",
    "$ended": "a schedule that was stopped",
    "$file": "a file being sent to i-1",
    "$spare": "a kept command that may be removed",
    "$day_token": "a ClientToken that was used for another request",
}
"""The ids that requests may name, beside the instances: i-1 and i-2 (Linux), i-win (Windows), i-on, i-on-2,
i-on-3 (running, can be switched), i-off and i-off-2 (stopped, can be switched)."""

LINUX = {"InstanceId.1": "i-1"}

RIGHT: Mapping[str, Mapping[str, str]] = {
    "RunCommand": {"Type": "RunShellScript", "CommandContent": "echo ok", **LINUX},
    "InvokeCommand": {"CommandId": "$command", **LINUX},
    "ModifyInvocationAttribute": {"InvokeId": "$repeating"},
    "StopInvocation": {"InvokeId": "$running", "InstanceId.1": "i-1"},
    "DescribeInvocations": {},
    "DescribeInvocationResults": {},
    "CreateCommand": {"Name": "n", "Type": "RunShellScript", "CommandContent": "ZWNobyBvaw=="},
    "ModifyCommand": {"CommandId": "$command"},
    "DeleteCommand": {"CommandId": "$spare"},
    "DescribeCommands": {},
    "SendFile": {"Name": "a.txt", "Content": "text", "TargetDir": "/tmp", **LINUX},
    "DescribeSendFileResults": {},
    "DescribeInstances": {},
    "DescribeInstanceStatus": {},
    "DescribeCloudAssistantStatus": {},
    "InstallCloudAssistant": {**LINUX},
    "StartInstance": {"InstanceId": "i-off"},
    "StopInstance": {"InstanceId": "i-on"},
    "RebootInstance": {"InstanceId": "i-on-2"},
    "StartInstances": {"InstanceId.1": "i-off"},
    "StopInstances": {"InstanceId.1": "i-on"},
    "RebootInstances": {"InstanceId.1": "i-on-2"},
    "DescribeAccountAttributes": {},
    "DescribeRegions": {},
    "TagResources": {
        "ResourceType": "instance",
        "ResourceId.1": "i-1",
        "Tag.1.Key": "team",
        "Tag.1.Value": "web",
    },
    "UntagResources": {"ResourceType": "instance", "ResourceId.1": "i-1", "TagKey.1": "team"},
    "ListTagResources": {"ResourceType": "instance", "ResourceId.1": "i-1"},
}
"""By Action, without RegionId, which every request below has unless it takes it away."""

REGION = {"RegionId": "default"}


def request(action: str, given: Given) -> dict[str, str]:
    """The right request with `given` in it."""
    merged: dict[str, str | None] = {**REGION, **RIGHT[action], **given}
    return {name: value for name, value in merged.items() if value is not None}


def with_ids(parameters: Mapping[str, str], ids: Mapping[str, str]) -> dict[str, str]:
    """With the ids of what was made."""
    return {name: ids.get(value, value) for name, value in parameters.items()}
