"""What an error is called on the wire: its code and HTTP status, by operation where the vendor differs.

The naming is irregular on purpose: it is the vendor's. "No such thing" (or value of an enumeration) is
404, "exceeds a limit" 403, "malformed or missing" 400. Codes that the vendor has no word for are ours and
follow the same pattern. Source: API error codes by operation.
"""

from collections.abc import Mapping
from typing import Any

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.errors import Broken, Kind, Refused, RunFailed

WireError = tuple[str, int]
"""A code and an HTTP status."""

INTERNAL_ERROR: WireError = ("InternalError", 500)
"""A fault of ours that nobody has foreseen."""

SERVICE_UNAVAILABLE: WireError = ("ServiceUnavailable", 503)
"""The store or the broker is away; the same call may succeed later."""

_EVERYWHERE: Mapping[Kind, WireError] = {
    Kind.MISSING_INSTANCES: ("MissingParam.InstanceId", 400),
    Kind.INSTANCE_NOT_FOUND: ("InvalidInstance.NotFound", 404),
    Kind.TOO_MANY_INSTANCES: ("InstanceIds.ExceedLimit", 403),
    Kind.NO_INSTANCE_MATCHES: ("InvalidResourceTag.InstanceNotFound", 400),
    Kind.WRONG_OS: ("InvalidInstance.NotMatch", 400),
    Kind.BAD_INSTANCE: ("InvalidInstance.Malformed", 400),
    Kind.INSTANCE_EXISTS: ("InvalidInstance.AlreadyExists", 403),
    Kind.INSTANCE_IN_USE: ("InvalidStatus.InstanceInUse", 403),
    Kind.COMMAND_NOT_FOUND: ("InvalidCmdId.NotFound", 404),
    Kind.COMMAND_IN_USE: ("InvalidStatus.CmdIdInUse", 403),
    Kind.BAD_COMMAND_TYPE: ("InvalidCmdType.NotFound", 404),
    Kind.CONTENT_TOO_LONG: ("CmdContent.ExceedLimit", 403),
    Kind.CONTENT_UNDECODABLE: ("CmdContent.DecodeError", 400),
    Kind.NAME_TOO_LONG: ("CmdName.ExceedLimit", 403),
    Kind.DESCRIPTION_TOO_LONG: ("CmdDesc.ExceedLimit", 403),
    Kind.WORKING_DIR_TOO_LONG: ("InvalidParameter.WorkingDir", 400),
    Kind.BAD_CHARACTER_NAME: ("InvalidParameterCharacter.CommandName", 403),
    Kind.BAD_CHARACTER_DESCRIPTION: ("InvalidParameterCharacter.CommandDescription", 403),
    Kind.BAD_CHARACTER_WORKING_DIR: ("InvalidParameterCharacter.CommandWorkingDir", 403),
    Kind.USERNAME_TOO_LONG: ("Username.ExceedLimit", 403),
    Kind.LAUNCHER_TOO_LONG: ("InvalidLauncher.LengthLimitExceeded", 403),
    Kind.TIMEOUT_TOO_LONG: ("InvalidTimeout.ExceedLimit", 403),
    Kind.COMMAND_QUOTA: ("CmdCount.ExceedQuota", 403),
    Kind.INVOCATION_QUOTA: ("Invocation.ExceedQuota", 403),
    Kind.PARAMETER_EMPTY_NAME: ("CmdParam.EmptyKey", 400),
    Kind.PARAMETER_BAD_NAME: ("CmdParam.InvalidParamName", 400),
    Kind.PARAMETER_NAME_TOO_LONG: ("CmdParamName.ExceedLimit", 403),
    Kind.PARAMETER_TOO_MANY_DEFINED: ("CmdParamCount.ExceedLimit", 403),
    Kind.PARAMETER_TOO_MANY_GIVEN: ("ParameterCount.ExceedLimit", 403),
    Kind.PARAMETER_KEY_TOO_LONG: ("ParameterKey.ExceedLimit", 403),
    Kind.PARAMETER_DUPLICATE: ("ParameterKey.Duplicate", 400),
    Kind.PARAMETER_UNKNOWN: ("Parameter.NotMatched", 400),
    Kind.PARAMETER_MISSING: ("Parameter.MissingValue", 400),
    Kind.PARAMETER_DISABLED: ("Parameter.Disabled", 400),
    Kind.PARAMETER_NOT_AN_OBJECT: ("InvalidParameter.Parameters", 400),
    Kind.PARAMETER_BAD_TYPE: ("ParameterType.NotSupported", 403),
    Kind.PARAMETER_BAD_CHARSET: ("InvalidParameterCharset.Parameters", 403),
    Kind.PARAMETER_STORE: ("ParameterStore.NotSupported", 403),
    Kind.BAD_REPEAT_MODE: ("InvalidRepeatMode.NotFound", 404),
    Kind.MISSING_FREQUENCY: ("MissingParam.Frequency", 400),
    Kind.BAD_FREQUENCY: ("InvalidParam.Frequency", 400),
    Kind.BAD_TERMINATION_MODE: ("InvalidTerminationMode.NotFound", 404),
    Kind.BAD_CONTAINER_ID: ("InvalidContainerId.Malformed", 400),
    Kind.BAD_CONTAINER_NAME: ("InvalidContainerName.Malformed", 400),
    Kind.CONTAINER_NOT_SUPPORTED: ("UnsupportedContainerRuntime", 400),
    Kind.WINDOWS_PASSWORD_MISSING: ("WindowsPasswordName.Missed", 400),
    Kind.WINDOWS_PASSWORD_TOO_LONG: ("WindowsPasswordName.ExceedLimit", 403),
    Kind.DOES_NOT_REPEAT: ("InvalidOperation.RepeatModeUnsupported", 403),
    Kind.INVOCATION_FINISHED: ("InvalidOperation.InvokeAlreadyFinished", 403),
    Kind.NOT_SUPPORTED: ("OperationDenied.NotSupported", 403),
    Kind.NO_SUCH_OPERATION: ("InvalidAction.NotFound", 404),
    Kind.INVOCATION_NOT_FOUND: ("InvalidInvokeId.NotFound", 404),
    Kind.INSTANCE_NOT_IN_INVOCATION: ("InvalidInstanceId.NotFound", 404),
    Kind.BAD_CLIENT_TOKEN: ("InvalidClientToken.Malformed", 400),
    Kind.CLIENT_TOKEN_REUSED: ("IdempotentParameterMismatch", 403),
    Kind.CLIENT_TOKEN_IN_PROGRESS: ("IdempotentProcessing", 403),
    Kind.BAD_TAG: ("InvalidTagKey.Malformed", 400),
    Kind.TOO_MANY_TAGS: ("NumberExceed.Tags", 400),
    Kind.DUPLICATE_TAG: ("Duplicate.TagKey", 400),
    Kind.MISSING_TAG_KEY: ("MissingParameter.TagKey", 400),
    Kind.BAD_TAG_KEY: ("InvalidTagKey.Malformed", 400),
    Kind.BAD_TAG_VALUE: ("InvalidTagValue.Malformed", 400),
    Kind.TOO_MANY_RESOURCE_TAGS: ("NumberExceed.ResourceTags", 400),
    Kind.DUPLICATE_RESOURCE_TAG: ("Duplicate.ResourceTagKey", 400),
    Kind.MISSING_RESOURCE_TAG_KEY: ("MissingParameter.ResourceTagKey", 400),
    Kind.BAD_RESOURCE_TAG_KEY: ("InvalidResourceTagKey.Malformed", 400),
    Kind.BAD_RESOURCE_TAG_VALUE: ("InvalidResourceTagValue.Malformed", 400),
    Kind.TARGETS_CONFLICT: ("InvalidResourceTag.ConflictWithInstanceIds", 400),
    Kind.TOO_MANY_RESOURCES: ("NumberExceed.ResourceIds", 400),
    Kind.RESOURCE_NOT_FOUND: ("InvalidResourceId.NotFound", 404),
    Kind.RESOURCE_TYPE_NOT_FOUND: ("InvalidResourceType.NotFound", 404),
    Kind.TAG_QUOTA: ("QuotaExceed.Tags", 403),
    Kind.TAGS_AND_ALL: ("Param.Conflict", 403),
    Kind.NEITHER_TAGS_NOR_RESOURCES: ("BothEmpty.TagsAndResources", 403),
    Kind.TOO_MANY_TAG_VALUES: ("NumberExceed.TagValues", 403),
    Kind.BAD_TAG_FILTER: ("InvalidTagFilter.Malformed", 403),
    Kind.BAD_PAGE_NUMBER: ("InvalidParam.PageNumber", 400),
    Kind.BAD_PAGE_SIZE: ("InvalidParam.PageSize", 400),
    Kind.BAD_MAX_RESULTS: ("InvalidParameter.MaxResults", 400),
    Kind.BAD_NEXT_TOKEN: ("InvalidParameter.NextToken", 400),
    Kind.MISSING_VALUE: ("MissingParameter", 400),
    Kind.BAD_VALUE: ("InvalidParameter", 400),
    Kind.BAD_FILE_NAME: ("FileName.Invalid", 400),
    Kind.BAD_CONTENT_TYPE: ("FileContentType.Invalid", 400),
    Kind.BAD_TARGET_DIR: ("FileTargetDir.Invalid", 400),
    Kind.BAD_FILE_OWNER: ("InvalidParameter.FileOwner", 400),
    Kind.BAD_FILE_GROUP: ("InvalidParameter.FileGroup", 400),
    Kind.BAD_FILE_MODE: ("FileMode.Invalid", 400),
    Kind.BAD_SETTING: ("InvalidSetting", 400),
    Kind.RESOURCE_GROUP_NOT_FOUND: ("InvalidResourceGroup.NotFound", 404),
    Kind.REGION_NOT_FOUND: ("InvalidRegionId.NotFound", 404),
    Kind.INSTANCE_STATUS_NOT_FOUND: ("InvalidStatus.NotFound", 404),
    Kind.ZONE_NOT_FOUND: ("InvalidZoneId.NotFound", 404),
    Kind.POWER_DENIED: ("OperationDenied", 403),
    Kind.WRONG_INSTANCE_STATUS: ("IncorrectInstanceStatus", 403),
    Kind.DRY_RUN_PASSED: ("DryRunOperation", 400),
    Kind.STORE_FULL: SERVICE_UNAVAILABLE,
    Kind.NOT_PERMITTED: ("Operation.Forbidden", 403),
    Kind.FORBIDDEN: ("Forbidden.RAM", 403),
    Kind.ACCESS_KEY_NOT_FOUND: ("InvalidAccessKeyId.NotFound", 404),
    Kind.ACCESS_KEY_INACTIVE: ("InvalidAccessKeyId.Inactive", 403),
    Kind.EVENTS_EXPIRED: ("InvalidCursor.Expired", 404),
    Kind.BAD_CURSOR: ("InvalidCursor.Malformed", 400),
    Kind.BAD_CALLBACK: ("InvalidParameter.Callback", 400),
    Kind.BAD_WEBHOOK: ("InvalidParameter.Webhook", 400),
    Kind.WEBHOOK_NOT_FOUND: ("InvalidWebhook.NotFound", 404),
    Kind.MISSING_ACTION: ("MissingAction", 400),
    Kind.MISSING_VERSION: ("MissingVersion", 400),
    Kind.BAD_VERSION: ("InvalidVersion", 400),
    Kind.MISSING_ACCESS_KEY: ("MissingAccessKeyId", 400),
    Kind.INCOMPLETE_SIGNATURE: ("IncompleteSignature", 400),
    Kind.SIGNATURE_MISMATCH: ("SignatureDoesNotMatch", 400),
    Kind.SIGNATURE_NONCE_USED: ("SignatureNonceUsed", 400),
    Kind.BAD_TIMESTAMP: ("InvalidTimeStamp.Format", 400),
    Kind.TIMESTAMP_EXPIRED: ("InvalidTimeStamp.Expired", 400),
    Kind.SECURITY_TOKEN: ("InvalidSecurityToken", 400),
    Kind.WRONG_METHOD: ("UnsupportedHTTPMethod", 403),
    Kind.MALFORMED_REQUEST: ("MalformedRequest", 400),
    Kind.REQUEST_LINE_TOO_LONG: ("RequestURITooLarge", 414),
    Kind.REQUEST_HEADER_TOO_LONG: ("RequestHeaderTooLarge", 431),
    Kind.REQUEST_BODY_TOO_LONG: ("RequestEntityTooLarge", 413),
    Kind.REQUEST_TOO_SLOW: ("RequestTimeout", 408),
}

_ONE_SWITCH: Mapping[Kind, WireError] = {Kind.INSTANCE_NOT_FOUND: ("InvalidInstanceId.NotFound", 404)}
_SWITCHES: Mapping[Kind, WireError] = {
    **_ONE_SWITCH,
    Kind.TOO_MANY_INSTANCES: ("InvalidParameter.TooManyInstanceIds", 403),
    Kind.DRY_RUN_PASSED: ("DRYRUN.SUCCESS", 400),
}

_TAGS_OF_TAGGING: Mapping[Kind, WireError] = {Kind.MISSING_TAG_KEY: ("InvalidParameter.TagValue", 400)}

_DIFFERENT: Mapping[str, Mapping[Kind, WireError]] = {
    "InvokeCommand": {
        Kind.PARAMETER_DUPLICATE: ("ParameterKey.Duplicate", 403),
        Kind.PARAMETER_UNKNOWN: ("Parameter.NotMatched", 403),
        Kind.WINDOWS_PASSWORD_MISSING: ("WindowsPasswordName.Missed", 403),
    },
    "ModifyInvocationAttribute": {
        Kind.BAD_FREQUENCY: ("InvalidParameter.Frequency", 400),
        Kind.PARAMETER_EMPTY_NAME: ("InvalidParameters.KeyEmpty", 400),
        Kind.PARAMETER_BAD_NAME: ("InvalidParameters.KeyMalformed", 400),
        Kind.PARAMETER_DUPLICATE: ("InvalidParameters.KeyDuplicate", 400),
        Kind.PARAMETER_UNKNOWN: ("InvalidParameters.KeyNotMatch", 400),
        Kind.PARAMETER_TOO_MANY_GIVEN: ("InvalidParameters.CountLimitExceeded", 403),
        Kind.PARAMETER_KEY_TOO_LONG: ("InvalidParameters.KeyLengthLimitExceeded", 403),
        Kind.PARAMETER_BAD_TYPE: ("InvalidParameters.ValueTypeUnsupported", 403),
        Kind.CONTENT_UNDECODABLE: ("InvalidCommandContent.DecodeError", 400),
        Kind.CONTENT_TOO_LONG: ("InvalidCommandContent.LengthLimitExceeded", 403),
        Kind.WRONG_OS: ("InvalidInstanceId.OSTypeUnsupported", 403),
        Kind.TOO_MANY_INSTANCES: ("InvalidInstanceId.CountLimitExceeded", 403),
        Kind.INSTANCE_NOT_FOUND: ("InvalidInstanceId.NotFound", 404),
        Kind.COMMAND_QUOTA: ("CommandLimitExceeded", 403),
    },
    **dict.fromkeys(("StartInstance", "StopInstance", "RebootInstance"), _ONE_SWITCH),
    **dict.fromkeys(("StartInstances", "StopInstances", "RebootInstances"), _SWITCHES),
    "SendFile": {
        Kind.NAME_TOO_LONG: ("FileName.ExceedLimit", 403),
        Kind.DESCRIPTION_TOO_LONG: ("FileDesc.ExceedLimit", 403),
        Kind.CONTENT_TOO_LONG: ("FileSize.ExceedLimit", 403),
        Kind.CONTENT_UNDECODABLE: ("FileContent.DecodeError", 400),
    },
    "DescribeInstanceStatus": {Kind.TOO_MANY_INSTANCES: ("InvalidParameter.TooManyInstanceIds", 403)},
    **dict.fromkeys(("TagResources", "UntagResources"), _TAGS_OF_TAGGING),
    "ListTagResources": {**_TAGS_OF_TAGGING, Kind.BAD_NEXT_TOKEN: ("Invalid.NextToken", 403)},
    "SelectInstances": {Kind.NO_INSTANCE_MATCHES: ("InvalidInstance.NotFound", 404)},
}


_NO_INSTANCES: Mapping[str, WireError] = {"InstanceId": ("MissingParam.InstanceId", 400)}
_TAGGING: Mapping[str, WireError] = {
    "RegionId": ("MissingParameter.RegionId", 404),
    "ResourceType": ("MissingParameter.ResourceType", 404),
    "ResourceId": ("MissingParameter.ResourceIds", 404),
    "Tag": ("MissingParameter.Tags", 404),
}

_MISSING: Mapping[str, Mapping[str, WireError]] = {
    "InstallCloudAssistant": _NO_INSTANCES,
    "SendFile": _NO_INSTANCES,
    "DescribeAccountAttributes": {"RegionId": ("Invalid.Parameter", 403)},
    **dict.fromkeys(("TagResources", "UntagResources", "ListTagResources"), _TAGGING),
}
"""What a parameter that was left out is called where it is not `Missing<Parameter>`."""


def demands_region(operation: type[Operation[Any]]) -> bool:
    """Whether the vendor has a code for a RegionId that was left out."""
    return "RegionId" in _MISSING.get(operation.action(), {})


def _missing(operation: type[Operation[Any]] | None, parameter: str) -> WireError:
    special = _MISSING.get(operation.action(), {}) if operation is not None else {}
    return special.get(parameter) or (f"Missing{parameter}", 400)


class Answered(Refused):
    """A refusal that an endpoint has told: the code is its word, the kind our reading of it."""

    def __init__(self, kind: Kind, message: str, *, code: str, status: int, request_id: str) -> None:
        super().__init__(kind, message)
        self.code = code
        self.status = status
        self.request_id = request_id


def kind_of(operation: type[Operation[Any]] | None, code: str) -> Kind:
    """What a code means: the inverse of `wire_error`. BAD_VALUE for one that we do not know."""
    special = _DIFFERENT.get(operation.action(), {}) if operation is not None else {}
    for kind, (word, _) in [*special.items(), *_EVERYWHERE.items()]:
        if word == code:
            return kind
    return Kind.MISSING_VALUE if code.startswith("Missing") else Kind.BAD_VALUE


def wire_error(operation: type[Operation[Any]] | None, kind: Kind) -> WireError:
    """The code and status of a refusal; None where no operation is involved."""
    special = _DIFFERENT.get(operation.action(), {}) if operation is not None else {}
    return special.get(kind) or _EVERYWHERE.get(kind, INTERNAL_ERROR)


def wire_error_of(error: BaseException, operation: type[Operation[Any]] | None = None) -> WireError:
    """The code and status of any error. Only faults that nobody foresaw are internal errors."""
    match error:
        case Answered(code=code, status=status):
            return (code, status)
        case Refused(kind=Kind.MISSING_VALUE, about=about) if about:
            return _missing(operation, about)
        case Refused(kind=kind):
            return wire_error(operation, kind)
        case RunFailed(code=code):
            return (code.value, 400)
        case Broken():
            return SERVICE_UNAVAILABLE
        case _:
            return INTERNAL_ERROR


def describe_error(error: BaseException, operation: type[Operation[Any]] | None = None) -> str:
    """One line for people: the code, what is wrong, the next step. An unforeseen error shows its type only:
    its text may hold what nobody should see."""
    code, _ = wire_error_of(error, operation)
    if isinstance(error, Refused | RunFailed | Broken):
        return f"{code}: {' '.join(str(error).split())}"
    return f"{code}: {type(error).__name__}; see the log, this is a fault of ours"
