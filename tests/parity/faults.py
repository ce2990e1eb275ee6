"""Every error that the vendor documents for an operation: the request that meets it, or why none can.

The rows are sent over HTTP by `test_faults.py`; `conformance.py` makes a page of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.parity.requests import Given

LONG = "x" * 13_000
"""More than 16 KB after Base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A request that is right but for `given`, and what it is answered."""

    action: str
    code: str
    status: int
    given: Given
    where: str = ""
    """`strict`: sent where regions are named and no other command can be kept; `over`: where the day's quota
    is used up."""
    ours: bool = False
    """The code is not among those that the vendor's description lists for the operation."""

    @property
    def name(self) -> str:
        return f"{self.action}-{self.code}"


def _rows(action: str, *rows: tuple[str, int, Given], where: str = "", ours: bool = False) -> list[Fault]:
    return [
        Fault(action=action, code=code, status=status, given=given, where=where, ours=ours)
        for code, status, given in rows
    ]


def _many(name: str, count: int) -> Given:
    return {f"{name}.{n}": f"i-{n}" for n in range(1, count + 1)}


def _tags(prefix: str, action: str) -> list[Fault]:
    """The faults of tags that are attached or looked for."""
    too_many: Given = {f"{prefix}.{n}.Key": f"k{n}" for n in range(1, 22)}
    return _rows(
        action,
        ("NumberExceed.Tags", 400, too_many),
        ("MissingParameter.TagKey", 400, {f"{prefix}.1.Value": "v"}),
        ("Duplicate.TagKey", 400, {f"{prefix}.1.Key": "k", f"{prefix}.2.Key": "k"}),
        ("InvalidTagKey.Malformed", 400, {f"{prefix}.1.Key": "acs:k"}),
        ("InvalidTagValue.Malformed", 400, {f"{prefix}.1.Key": "k", f"{prefix}.1.Value": "https://x"}),
    )


def _resource_tags(action: str) -> list[Fault]:
    none: Given = {"InstanceId.1": None}
    too_many: Given = {f"ResourceTag.{n}.Key": f"k{n}" for n in range(1, 12)}
    return _rows(
        action,
        ("NumberExceed.ResourceTags", 400, none | too_many),
        ("MissingParameter.ResourceTagKey", 400, none | {"ResourceTag.1.Value": "v"}),
        ("InvalidResourceTagKey.Malformed", 400, none | {"ResourceTag.1.Key": "aliyun"}),
        (
            "InvalidResourceTagValue.Malformed",
            400,
            none | {"ResourceTag.1.Key": "k", "ResourceTag.1.Value": "http://x"},
        ),
        ("Duplicate.ResourceTagKey", 400, none | {"ResourceTag.1.Key": "k", "ResourceTag.2.Key": "k"}),
        ("InvalidResourceTag.InstanceNotFound", 400, none | {"ResourceTag.1.Key": "nobody-has-it"}),
        ("InvalidResourceTag.ConflictWithInstanceIds", 400, {"ResourceTag.1.Key": "env"}),
    )


def _pages(action: str) -> list[Fault]:
    return _rows(
        action,
        ("InvalidParam.PageNumber", 400, {"PageNumber": "0"}),
        ("InvalidParam.PageSize", 400, {"PageSize": "51"}),
        ("InvalidParameter.MaxResults", 400, {"MaxResults": "0"}),
        ("InvalidParameter.NextToken", 400, {"NextToken": "none-of-ours"}),
    )


def _content(action: str, script: str) -> list[Fault]:
    """The faults of a command; `script` names the encoding in which contents are written here."""
    plain: Given = {"ContentEncoding": "PlainText"}
    enabled: Given = plain | {"EnableParameter": "true"}
    many = " ".join(f"{{{{p{n}}}}}" for n in range(21))
    return _rows(
        action,
        ("InvalidCmdType.NotFound", 404, {"Type": "RunPythonScript"}),
        ("CmdContent.ExceedLimit", 403, plain | {"CommandContent": LONG}),
        ("CmdContent.DecodeError", 400, {"ContentEncoding": "Base64", "CommandContent": "%%%"}),
        ("CmdName.ExceedLimit", 403, {"Name": "n" * 129}),
        ("CmdDesc.ExceedLimit", 403, {"Description": "d" * 513}),
        ("InvalidParameter.WorkingDir", 400, {"WorkingDir": "/" * 201}),
        ("InvalidParameterCharacter.CommandName", 403, {"Name": "a\x07"}),
        ("InvalidParameterCharacter.CommandDescription", 403, {"Description": "a\x07"}),
        ("InvalidParameterCharacter.CommandWorkingDir", 403, {"WorkingDir": "/a\x07"}),
        ("CmdParam.EmptyKey", 400, enabled | {"CommandContent": "echo {{}}"}),
        ("CmdParam.InvalidParamName", 400, enabled | {"CommandContent": "echo {{a b!}}"}),
        ("CmdParamCount.ExceedLimit", 403, enabled | {"CommandContent": many}),
        ("CmdParamName.ExceedLimit", 403, enabled | {"CommandContent": "{{" + "p" * 65 + "}}"}),
    ) + _rows(
        action, ("CmdCount.ExceedQuota", 403, {"KeepCommand": "true"} if script else {}), where="strict"
    )


def _launch(action: str, with_a: Given, windows: Given) -> list[Fault]:
    """The faults of a call that runs something. `with_a`: what is run has the parameter a."""
    refused = 400 if action == "RunCommand" else 403
    twenty_one = "{" + ",".join(f'"p{n}":""' for n in range(21)) + "}"
    as_ann = windows | {"InstanceId.1": "i-win", "Username": "Ann"}
    return [
        *_resource_tags(action),
        *_rows(
            action,
            ("MissingParam.InstanceId", 400, {"InstanceId.1": None}),
            ("InvalidInstance.NotFound", 404, {"InstanceId.1": "i-9"}),
            ("InvalidInstance.NotMatch", 400, {"InstanceId.1": "i-win"}),
            ("InstanceIds.ExceedLimit", 403, _many("InstanceId", 51)),
            ("InvalidContainerId.Malformed", 400, {"ContainerId": "short"}),
            ("InvalidContainerName.Malformed", 400, {"ContainerName": "-"}),
            ("InvalidClientToken.Malformed", 400, {"ClientToken": "ü"}),
            ("IdempotentParameterMismatch", 403, {"ClientToken": "$day_token", "Timeout": "99"}),
            ("MissingParam.Frequency", 400, {"RepeatMode": "Period"}),
            ("InvalidParam.Frequency", 400, {"Frequency": "0 0 25 * * ?"}),
            ("InvalidRepeatMode.NotFound", 404, {"RepeatMode": "Twice"}),
            ("InvalidTerminationMode.NotFound", 404, {"TerminationMode": "Thread"}),
            ("InvalidResourceGroup.NotFound", 404, {"ResourceGroupId": "g" * 65}),
            ("Username.ExceedLimit", 403, {"Username": "u" * 256}),
            ("WindowsPasswordName.ExceedLimit", 403, {"WindowsPasswordName": "p" * 256}),
            ("WindowsPasswordName.Missed", refused, as_ann),
            ("Parameter.Disabled", 400, {"Parameters": '{"a":"1"}'}),
            ("ParameterCount.ExceedLimit", 403, with_a | {"Parameters": twenty_one}),
            ("ParameterKey.ExceedLimit", 403, with_a | {"Parameters": '{"' + "k" * 65 + '":""}'}),
            ("ParameterKey.Duplicate", refused, with_a | {"Parameters": '{"a":"1","A":"2"}'}),
            ("Parameter.NotMatched", refused, with_a | {"Parameters": '{"b":"1"}'}),
            ("ParameterType.NotSupported", 403, with_a | {"Parameters": '{"a":[1]}'}),
        ),
        *_rows(action, ("Invocation.ExceedQuota", 403, {}), where="over"),
    ]


_A: Given = {"CommandContent": "echo {{a}}", "EnableParameter": "true"}
_KEPT_A: Given = {"CommandId": "$with_a"}

_TAGGING: Sequence[tuple[str, int, Given]] = [
    ("NumberExceed.ResourceIds", 400, {f"ResourceId.{n}": f"i-{n}" for n in range(1, 52)}),
    ("InvalidResourceType.NotFound", 404, {"ResourceType": "disk"}),
    ("MissingParameter.ResourceType", 404, {"ResourceType": None}),
    ("MissingParameter.RegionId", 404, {"RegionId": None}),
]

_NEW_A: Given = {"CommandContent": "echo {{a}}", "EnableParameter": "true"}

_MODIFYING: Sequence[tuple[str, int, Given]] = [
    ("InvalidInvokeId.NotFound", 404, {"InvokeId": "t-0"}),
    ("InvalidInstanceId.NotFound", 404, {"InstanceId.1": "i-9"}),
    ("InvalidInstanceId.OSTypeUnsupported", 403, {"InstanceId.1": "i-win"}),
    ("InvalidInstanceId.CountLimitExceeded", 403, _many("InstanceId", 51)),
    ("InvalidOperation.RepeatModeUnsupported", 403, {"InvokeId": "$running"}),
    ("InvalidOperation.RepeatModeUnsupported", 403, {"InvokeId": "$booting", "Frequency": "rate(1d)"}),
    ("InvalidOperation.InvokeAlreadyFinished", 403, {"InvokeId": "$ended"}),
    ("InvalidClientToken.Malformed", 400, {"ClientToken": "ü"}),
    ("IdempotentParameterMismatch", 403, {"ClientToken": "$change_token", "Frequency": "rate(3d)"}),
    ("InvalidParameter.Frequency", 400, {"Frequency": "often"}),
    ("InvalidCommandContent.DecodeError", 400, {"CommandContent": "%", "ContentEncoding": "Base64"}),
    ("InvalidCommandContent.LengthLimitExceeded", 403, {"CommandContent": LONG}),
    ("InvalidParameters.KeyEmpty", 400, {"CommandContent": "{{}}", "EnableParameter": "true"}),
    ("InvalidParameters.KeyMalformed", 400, {"CommandContent": "{{a b!}}", "EnableParameter": "true"}),
    ("InvalidParameters.KeyDuplicate", 400, _NEW_A | {"Parameters": '{"a":"1","A":"2"}'}),
    ("InvalidParameters.KeyNotMatch", 400, _NEW_A | {"Parameters": '{"b":"1"}'}),
    ("InvalidParameters.KeyLengthLimitExceeded", 403, _NEW_A | {"Parameters": '{"' + "k" * 65 + '":""}'}),
    ("InvalidParameters.ValueTypeUnsupported", 403, _NEW_A | {"Parameters": '{"a":[1]}'}),
    (
        "InvalidParameters.CountLimitExceeded",
        403,
        _NEW_A | {"Parameters": "{" + ",".join(f'"p{n}":""' for n in range(21)) + "}"},
    ),
]

FAULTS: Sequence[Fault] = (
    *_rows("ModifyInvocationAttribute", *_MODIFYING),
    *_rows(
        "ModifyInvocationAttribute", ("CommandLimitExceeded", 403, {"CommandContent": "n"}), where="strict"
    ),
    *_launch("RunCommand", _A, {"Type": "RunBatScript"}),
    *_content("RunCommand", "PlainText"),
    *_tags("Tag", "RunCommand"),
    *_rows("RunCommand", ("ParameterStore.NotSupported", 403, _A | {"CommandContent": "{{oos:secret}}"})),
    *_launch("InvokeCommand", _KEPT_A, {"CommandId": "$windows"}),
    *_rows(
        "InvokeCommand",
        ("InvalidCmdId.NotFound", 404, {"CommandId": "c-0"}),
        ("Parameter.MissingValue", 400, _KEPT_A),
        ("InvalidParameter.Parameters", 400, _KEPT_A | {"Parameters": "a=1"}),
        ("InvalidParameterCharset.Parameters", 403, _KEPT_A | {"Parameters": '{"a":"\\u0000"}'}),
        ("CmdContent.ExceedLimit", 403, _KEPT_A | {"Parameters": '{"a":"' + LONG + '"}'}),
        ("InvalidLauncher.LengthLimitExceeded", 403, {"Launcher": "l" * 1_025}),
    ),
    *_content("CreateCommand", ""),
    *_rows(
        "CreateCommand",
        ("InvalidLauncher.LengthLimitExceeded", 403, {"Launcher": "l" * 1_025}),
        ("InvalidTimeout.ExceedLimit", 403, {"Timeout": "86401"}),
        ("InvalidResourceGroup.NotFound", 404, {"ResourceGroupId": "g" * 65}),
    ),
    *_rows(
        "ModifyCommand",
        ("InvalidCmdId.NotFound", 404, {"CommandId": "c-0"}),
        ("CmdName.ExceedLimit", 403, {"Name": "n" * 129}),
        ("CmdDesc.ExceedLimit", 403, {"Description": "d" * 513}),
        ("InvalidParameter.WorkingDir", 400, {"WorkingDir": "/" * 201}),
        ("InvalidParameterCharacter.CommandName", 403, {"Name": "a\x07"}),
        ("InvalidParameterCharacter.CommandDescription", 403, {"Description": "a\x07"}),
        ("InvalidParameterCharacter.CommandWorkingDir", 403, {"WorkingDir": "/a\x07"}),
        ("InvalidLauncher.LengthLimitExceeded", 403, {"Launcher": "l" * 1_025}),
        ("InvalidTimeout.ExceedLimit", 403, {"Timeout": "86401"}),
    ),
    *_rows(
        "DeleteCommand",
        ("InvalidCmdId.NotFound", 404, {"CommandId": "c-0"}),
        ("InvalidStatus.CmdIdInUse", 403, {"CommandId": "$in_use"}),
    ),
    *_rows(
        "StopInvocation",
        ("InvalidInvokeId.NotFound", 404, {"InvokeId": "t-0"}),
        ("InvalidInstanceId.NotFound", 404, {"InstanceId.1": "i-2"}),
        ("InstanceIds.ExceedLimit", 403, _many("InstanceId", 51)),
    ),
    *(
        fault
        for action in (
            "DescribeCommands",
            "DescribeInvocations",
            "DescribeInvocationResults",
            "DescribeSendFileResults",
        )
        for fault in (*_tags("Tag", action), *_pages(action))
    ),
    *_tags("Tag", "SendFile"),
    *_rows(
        "SendFile",
        ("MissingParam.InstanceId", 400, {"InstanceId.1": None}),
        ("InvalidInstance.NotFound", 404, {"InstanceId.1": "i-9"}),
        ("InstanceIds.ExceedLimit", 403, _many("InstanceId", 51)),
        ("FileTargetDir.Invalid", 400, {"TargetDir": "tmp"}),
        ("FileMode.Invalid", 400, {"FileMode": "rw"}),
        ("FileContent.DecodeError", 400, {"ContentType": "Base64", "Content": "%%%"}),
        ("FileContentType.Invalid", 400, {"ContentType": "Hex"}),
        ("InvalidParameter.FileOwner", 400, {"FileOwner": "o" * 65}),
        ("InvalidParameter.FileGroup", 400, {"FileGroup": "g" * 65}),
        ("FileSize.ExceedLimit", 403, {"Content": "x" * 25_000}),
        ("FileName.ExceedLimit", 403, {"Name": "n" * 256}),
        ("FileDesc.ExceedLimit", 403, {"Description": "d" * 513}),
        ("InvalidTimeout.ExceedLimit", 403, {"Timeout": "86401"}),
        ("InvalidResourceGroup.NotFound", 404, {"ResourceGroupId": "g" * 65}),
    ),
    *_pages("DescribeCloudAssistantStatus"),
    *_rows(
        "DescribeCloudAssistantStatus",
        ("InvalidInstance.NotFound", 404, {"InstanceId.1": "i-9"}),
        ("InstanceIds.ExceedLimit", 403, _many("InstanceId", 101)),
    ),
    *_rows(
        "InstallCloudAssistant",
        ("MissingParam.InstanceId", 400, {"InstanceId.1": None}),
        ("InvalidInstance.NotFound", 404, {"InstanceId.1": "i-9"}),
        ("InstanceIds.ExceedLimit", 403, _many("InstanceId", 51)),
    ),
    *_rows("DescribeInstances", ("InvalidStatus.NotFound", 404, {"Status": "Asleep"})),
    *_rows(
        "DescribeInstanceStatus",
        ("InvalidParameter.TooManyInstanceIds", 403, _many("InstanceId", 101)),
        ("InvalidZoneId.NotFound", 404, {"ZoneId": "zone-b"}),
    ),
    *(
        fault
        for action, wrong in (
            ("StartInstance", "i-on"),
            ("StopInstance", "i-off"),
            ("RebootInstance", "i-off"),
        )
        for fault in (
            *_rows(
                action,
                ("InvalidInstanceId.NotFound", 404, {"InstanceId": "i-9"}),
                ("IncorrectInstanceStatus", 403, {"InstanceId": wrong}),
            ),
            *_rows(
                action,
                ("OperationDenied", 403, {"InstanceId": "i-1"}),
                ("DryRunOperation", 400, {"DryRun": "true"}),
                ("MissingInstanceId", 400, {"InstanceId": None}),
                ours=True,
            ),
        )
    ),
    *(
        fault
        for action, wrong in (
            ("StartInstances", "i-on"),
            ("StopInstances", "i-off"),
            ("RebootInstances", "i-off"),
        )
        for fault in (
            *_rows(
                action,
                ("InvalidInstanceId.NotFound", 404, {"InstanceId.2": "i-9"}),
                ("IncorrectInstanceStatus", 403, {"InstanceId.2": wrong}),
                ("InvalidParameter.TooManyInstanceIds", 403, _many("InstanceId", 101)),
                ("DRYRUN.SUCCESS", 400, {"DryRun": "true"}),
            ),
            *_rows(
                action,
                ("OperationDenied", 403, {"InstanceId.2": "i-1"}),
                ("MissingInstanceId", 400, {"InstanceId.1": None}),
                ("InvalidParameter", 400, {"BatchOptimization": "Halves"}),
                ours=True,
            ),
        )
    ),
    *_rows("DescribeAccountAttributes", ("Invalid.Parameter", 403, {"RegionId": None})),
    *_rows(
        "TagResources",
        *_TAGGING,
        ("MissingParameter.ResourceIds", 404, {"ResourceId.1": None}),
        ("MissingParameter.Tags", 404, {"Tag.1.Key": None, "Tag.1.Value": None}),
        ("InvalidResourceId.NotFound", 404, {"ResourceId.1": "i-9"}),
        ("NumberExceed.Tags", 400, {f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)}),
        ("Duplicate.TagKey", 400, {"Tag.2.Key": "team"}),
        ("InvalidTagKey.Malformed", 400, {"Tag.1.Key": "acs:k"}),
        ("InvalidTagValue.Malformed", 400, {"Tag.1.Value": "http://x"}),
        ("QuotaExceed.Tags", 403, {f"Tag.{n}.Key": f"k{n}" for n in range(1, 21)}),
    ),
    *_rows("TagResources", ("InvalidParameter.TagValue", 400, {"Tag.1.Key": None}), ours=True),
    *_rows(
        "UntagResources",
        *_TAGGING,
        ("MissingParameter.ResourceIds", 404, {"ResourceId.1": None}),
        ("MissingParameter.Tags", 404, {"TagKey.1": None}),
        ("InvalidResourceId.NotFound", 404, {"ResourceId.1": "i-9"}),
        ("NumberExceed.Tags", 400, {f"TagKey.{n}": f"k{n}" for n in range(1, 22)}),
        ("Param.Conflict", 403, {"All": "true"}),
    ),
    *_rows(
        "ListTagResources",
        *_TAGGING,
        ("NumberExceed.Tags", 400, {f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)}),
        ("Duplicate.TagKey", 400, {"Tag.1.Key": "k", "Tag.2.Key": "k"}),
        ("InvalidTagKey.Malformed", 400, {"Tag.1.Key": "acs:k"}),
        ("InvalidTagValue.Malformed", 400, {"Tag.1.Key": "k", "Tag.1.Value": "http://x"}),
        ("BothEmpty.TagsAndResources", 403, {"ResourceId.1": None}),
        ("Invalid.NextToken", 403, {"ResourceId.1": None, "Tag.1.Key": "k", "NextToken": "none-of-ours"}),
        ("InvalidTagFilter.Malformed", 403, {"TagFilter.1.TagValues.1": "v"}),
        (
            "NumberExceed.TagValues",
            403,
            {"TagFilter.1.TagKey": "k", **{f"TagFilter.1.TagValues.{n}": f"v{n}" for n in range(1, 22)}},
        ),
    ),
    # -- beyond the lists of single operations
    *_rows("RunCommand", ("MissingType", 400, {"Type": None}), ours=True),
    *_rows("RunCommand", ("MissingCommandContent", 400, {"CommandContent": None}), ours=True),
    *_rows("RunCommand", ("UnsupportedContainerRuntime", 400, {"ContainerName": "web"}), ours=True),
    *_rows("RunCommand", ("InvalidLauncher.LengthLimitExceeded", 403, {"Launcher": "l" * 1_025}), ours=True),
    *_rows("RunCommand", ("InvalidTimeout.ExceedLimit", 403, {"Timeout": "86401"}), ours=True),
    *_rows("RunCommand", ("InvalidParameter.Parameters", 400, _A | {"Parameters": "a=1"}), ours=True),
    *_rows("RunCommand", ("InvalidParameter", 400, {"Timeout": "soon"}), ours=True),
    *_rows("CreateCommand", ("MissingName", 400, {"Name": None}), ours=True),
    *_rows("CreateCommand", ("InvalidClientToken.Malformed", 400, {"ClientToken": "ü"}), ours=True),
    *_tags("Tag", "CreateCommand"),
    *_tags("Tag", "InvokeCommand"),
    *_tags("Tag", "DescribeInstances"),
    *_rows("StopInvocation", ("MissingInvokeId", 400, {"InvokeId": None}), ours=True),
)

REGIONAL_FAULT = "InvalidRegionId.NotFound"
"""Met by every operation that has it, where regions are named."""
