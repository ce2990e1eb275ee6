"""Requests that are carried out: together they give every parameter of every operation."""

from collections.abc import Mapping, Sequence

from tests.parity.requests import Given

_PAGE: Given = {"PageNumber": "1", "PageSize": "10"}
_TOKEN: Given = {"MaxResults": "10"}
_TAG: Given = {"Tag.1.Key": "env", "Tag.1.Value": ""}
_LISTING: Given = {**_PAGE, **_TAG, "ResourceGroupId": "rg-1"}
_LAUNCH: Given = {
    **_TAG,
    "Timeout": "60",
    "WorkingDir": "/tmp",
    "Username": "root",
    "WindowsPasswordName": "stored",
    "Launcher": "sh {{ACS::ScriptFileName}}",
    "TerminationMode": "Process",
    "RepeatMode": "Once",
    "Frequency": "",
    "Timed": "False",
    "ContainerId": "",
    "ContainerName": "",
    "OssOutputDelivery": "",
    "ResourceGroupId": "rg-1",
}
_BY_TAG: Given = {"InstanceId.1": None, "ResourceTag.1.Key": "env", "ResourceTag.1.Value": "test"}

ACCEPTED: Mapping[str, Sequence[Given]] = {
    "RunCommand": (
        {
            **_LAUNCH,
            "CommandContent": "ZWNobyB7e2F9fQ==",
            "ContentEncoding": "Base64",
            "EnableParameter": "True",
            "Parameters": '{"a":"1"}',
            "Name": "n",
            "Description": "d",
            "KeepCommand": "True",
            "ClientToken": "run-once",
        },
        {**_BY_TAG, "RepeatMode": "DryRun"},
        {"RepeatMode": "Period", "Frequency": "0 0 12 ? * WED"},
        {"Timed": "true", "Frequency": "rate(1d)"},
        {"RepeatMode": "NextRebootOnly"},
        {"RepeatMode": "EveryReboot"},
    ),
    "InvokeCommand": (
        {**_LAUNCH, "CommandId": "$with_a", "Parameters": '{"a":"1"}', "ClientToken": "invoke-once"},
        _BY_TAG,
    ),
    "StopInvocation": ({},),
    "ModifyInvocationAttribute": (
        {
            "CommandContent": "ZWNobyB7e2F9fSBhZ2Fpbg==",
            "ContentEncoding": "Base64",
            "EnableParameter": "true",
            "Parameters": '{"a":"2"}',
            "Frequency": "rate(2d)",
            "InstanceId.1": "i-2",
            "ClientToken": "modify-once",
        },
        {"InvokeId": "$booting", "InstanceId.1": "i-2"},
    ),
    "DescribeInvocations": (
        {
            **_LISTING,
            "CommandId": "$command",
            "CommandName": "n*",
            "CommandType": "RunShellScript",
            "ContentEncoding": "PlainText",
            "InstanceId": "i-1",
            "InvokeStatus": "Running",
            "RepeatMode": "Once",
            "Timed": "false",
            "IncludeOutput": "true",
        },
        {**_TOKEN, "InvokeId": "$running"},
        {"NextToken": ""},
    ),
    "DescribeInvocationResults": (
        {
            **_LISTING,
            "CommandId": "$command",
            "ContentEncoding": "PlainText",
            "InstanceId": "i-1",
            "InvokeRecordStatus": "Running",
            "IncludeHistory": "false",
        },
        {"InvokeId": "$repeating", "IncludeHistory": "true"},
        {**_TOKEN, "InvokeId": "$running"},
        {"NextToken": ""},
    ),
    "CreateCommand": (
        {
            **_TAG,
            "CommandContent": "echo ok",
            "ContentEncoding": "PlainText",
            "Description": "d",
            "WorkingDir": "/tmp",
            "Timeout": "60",
            "EnableParameter": "false",
            "Launcher": "sh {{ACS::ScriptFileName}}",
            "ClientToken": "create-once",
            "ResourceGroupId": "rg-1",
        },
    ),
    "ModifyCommand": (
        {
            "Name": "n",
            "Description": "d",
            "WorkingDir": "/tmp",
            "Timeout": "60",
            "Launcher": "",
            "CommandContent": "bm90aGluZw==",
        },
    ),
    "DeleteCommand": ({},),
    "DescribeCommands": (
        {
            **_LISTING,
            "CommandId": "$command",
            "Name": "n*",
            "Description": "*d*",
            "Type": "RunShellScript",
            "Provider": "AlibabaCloud",
            "Latest": "true",
            "ContentEncoding": "PlainText",
        },
        {**_TOKEN, "NextToken": ""},
    ),
    "SendFile": (
        {
            **_TAG,
            "Content": "dGV4dA==",
            "ContentType": "Base64",
            "FileOwner": "root",
            "FileGroup": "root",
            "FileMode": "0600",
            "Overwrite": "True",
            "Timeout": "60",
            "Description": "d",
            "ClientToken": "send-once",
            "ResourceGroupId": "rg-1",
        },
    ),
    "DescribeSendFileResults": (
        {**_LISTING, "InvokeId": "$file", "Name": "a*", "InstanceId": "i-1", "InvocationStatus": "Pending"},
        {**_TOKEN, "NextToken": ""},
    ),
    "DescribeInstances": (
        {
            **_LISTING,
            "InstanceIds": '["i-1"]',
            "InstanceName": "*",
            "Status": "Running",
            "PrivateIpAddresses": '["10.0.0.1"]',
            "PublicIpAddresses": '["10.0.0.1"]',
            "VpcId": "vpc-1",
            "ZoneId": "zone-a",
        },
        {**_TOKEN, "NextToken": ""},
    ),
    "DescribeInstanceStatus": ({**_PAGE, "InstanceId.1": "i-1", "ClusterId": "", "ZoneId": ""},),
    "DescribeCloudAssistantStatus": (
        {"InstanceId.1": "i-alone", "OSType": "Linux"},
        _PAGE,
        {**_TOKEN, "NextToken": ""},
    ),
    "InstallCloudAssistant": ({},),
    "StartInstance": ({"InitLocalDisk": "true", "DryRun": "false"},),
    "StopInstance": (
        {
            "ForceStop": "true",
            "ConfirmStop": "true",
            "Hibernate": "false",
            "StoppedMode": "KeepCharging",
            "DryRun": "false",
        },
    ),
    "RebootInstance": ({"ForceStop": "true", "DryRun": "false"},),
    "StartInstances": ({"InstanceId.1": "i-off-2", "BatchOptimization": "AllTogether", "DryRun": "false"},),
    "StopInstances": (
        {
            "InstanceId.1": "i-on-3",
            "BatchOptimization": "SuccessFirst",
            "DryRun": "false",
            "ForceStop": "true",
            "StoppedMode": "StopCharging",
        },
    ),
    "RebootInstances": (
        {
            "InstanceId.1": "i-on-4",
            "BatchOptimization": "SuccessFirst",
            "DryRun": "false",
            "ForceReboot": "true",
        },
    ),
    "DescribeAccountAttributes": (
        {"AttributeName.1": "max-axt-command-count", "ZoneId": "zone-a"},
        {"AttributeName.1": "max-cloud-assistant-activation-count"},
    ),
    "DescribeRegions": (
        {"AcceptLanguage": "en-US", "InstanceChargeType": "PostPaid", "ResourceType": "instance"},
    ),
    "TagResources": ({},),
    "UntagResources": ({}, {"TagKey.1": None, "All": "true"}),
    "ListTagResources": (
        {},
        {
            "ResourceId.1": None,
            "Tag.1.Key": "env",
            "TagFilter.1.TagKey": "env",
            "TagFilter.1.TagValues.1": "test",
            "NextToken": "",
        },
    ),
}
"""By Action, what is given beside the right request. What names owners has no effect; it is sent with the
first of each."""

OF_OWNERS = {
    "OwnerAccount": "somebody",
    "OwnerId": "1",
    "ResourceOwnerAccount": "somebody",
    "ResourceOwnerId": "1",
}
