"""Errors that the vendor documents and no request meets here: why."""

from collections.abc import Mapping

_NEVER_OURS = "a matter of the vendor's cloud"

REASONS: Mapping[str, str] = {
    "RegionId.ApiNotSupported": "every region has every operation",
    "Operation.Forbidden": "what a key may not do is Forbidden.RAM",
    "InternalError.Dispatch": "there is no dispatcher between the endpoint and the operations",
    "InternalError": "a fault of ours that nobody foresaw; tested with the endpoint",
    "ServiceUnavailable": "answered with 503; tested with a store that is away",
    "IdempotentProcessing": "an invocation is opened in one step: there is no call in progress",
    "InvalidStatus.ResourceGroup": "resource groups are words here, without a state",
    "OperationDenied.BidOwnResource": "no bid instances",
    "TemporaryAccessKey.Error": "no parameter store",
    "ParameterStore.InvalidParameters": "no parameter store",
    "ParameterStore.NoPermission": "no parameter store",
    "CmdName.Readonly": "no public commands",
    "InvalidTag.Mismatch": _NEVER_OURS,
    "InvalidTagCount": "answered as NumberExceed.Tags",
    "InvalidHpcClusterId.NotFound": _NEVER_OURS,
    "InvalidHpcClusterId.Creating": _NEVER_OURS,
    "InvalidInstanceChargeType.NotFound": _NEVER_OURS,
    "InvalidInternetChargeType.ValueNotSupported": _NEVER_OURS,
    "InvalidLockReason.NotFound": _NEVER_OURS,
    "InvalidFilterKey.NotFound": _NEVER_OURS,
    "InvalidFilterValue": _NEVER_OURS,
    "InvalidNetworkType.NotFound": _NEVER_OURS,
    "Abs.InvalidInstanceIds.MalFormed": "an id of any form is looked for, and is unknown",
    "InvalidInstanceIds.NotFound": "answered as InvalidInstanceId.NotFound",
    "InvalidOperation.Conflict": "answered as IncorrectInstanceStatus",
    "Unauthorized.EmptyRegion": _NEVER_OURS,
    "Invalid.InstanceChargeType": _NEVER_OURS,
    "InvalidAcceptLanguage.NotFound": "names of regions have no language here",
    "TagKey.Duplication": "answered as Duplicate.TagKey",
    "InvalidResourceId.NotSupported": "everything that has an id of the type has tags",
    "NoPermission.Tag": "what a key may not do is Forbidden.RAM",
    "NoPermissionKey.Scope": _NEVER_OURS,
    "Invalid.Scope": _NEVER_OURS,
    "OperationDenied.QuotaExceed": "answered as QuotaExceed.Tags",
    "InvalidTags.MalFormed": "answered by the codes of keys and values",
    "InvalidFilter.Malformed": "answered as InvalidTagFilter.Malformed",
    "InvalidTag.NotSupported": _NEVER_OURS,
    "InvalidDefaultResourceGroup.NotSupported": _NEVER_OURS,
    "PermissionDenied.Scope": _NEVER_OURS,
    "PermissionDenied.TagOwnerBid": _NEVER_OURS,
    "PermissionDenied.TagOwnerUid": _NEVER_OURS,
    "PermissionDenied.TagsFuzzyQuery": _NEVER_OURS,
    "MissingParameter.TagOwnerBid": _NEVER_OURS,
    "MissingParameter.TagOwnerUid": _NEVER_OURS,
}
"""Why no request meets an error here, by its code."""

REASONS_OF: Mapping[tuple[str, str], str] = {
    ("ModifyInvocationAttribute", "InvalidCommandId.NotFound"): "the request names no command",
    (
        "ModifyInvocationAttribute",
        "InvalidOperation.CloudAssistantVersionUnsupported",
    ): "nothing on a host depends on it",
    ("ModifyInvocationAttribute", "InvalidOperation.ModifyPublicCommandUnsupported"): "no public commands",
    ("RunCommand", "InvalidCmdId.NotFound"): "the request names no command",
    ("ModifyCommand", "CmdContent.ExceedLimit"): "CommandContent has no effect there",
    ("InvokeCommand", "ParameterStore.NotSupported"): "a command that names it cannot be kept",
    ("DescribeCloudAssistantStatus", "MissingParam.InstanceId"): "without ids it lists pages",
    ("UntagResources", "Duplicate.TagKey"): "the same key twice is removed once",
    ("UntagResources", "InvalidTagKey.Malformed"): "a key that no tag can have is not there",
    ("UntagResources", "InvalidTagValue.Malformed"): "no value is given",
    ("ListTagResources", "InvalidResourceId.NotFound"): "what is unknown has no tags: nothing is listed",
    ("ListTagResources", "MissingParameter.ResourceIds"): "answered as BothEmpty.TagsAndResources",
    ("ListTagResources", "MissingParameter.Tags"): "answered as BothEmpty.TagsAndResources",
    ("DescribeRegions", "InvalidResourceType.NotFound"): "regions are the same for everything",
}

POWER_OF_A_CLOUD = (
    "LackResource InvalidDedicatedHost.NotEnoughResource InvalidInstance.NotFoundSystemDisk"
    " Invalid.PrivatePoolOptions.NoStock InvalidParameter.KMSKeyId.NotFound InstanceLockedForSecurity"
    " InsufficientBalance DiskError InstanceExpired InstanceNotReady DiskInArrears OperationDenied.NoStock"
    " OperationDenied.SpotPriceLowerThanPublicPrice InvalidParameter.KMSKeyId.CMKUnauthorized"
    " InvalidParameter.KMSKeyId.CMKNotEnabled InvalidParameter.KMSKeyId.KMSUnauthorized"
    " QuotaExceed.ElasticQuota OperationDenied.HostRepairing InvalidCapacityReservationId.NotFound"
    " InstanceType.ParameterMismatch InstanceExpiredOrInArrears InvalidInstanceId.NotSupport"
    " HibernationConfigured.InstanceOperationForbidden HibernationConfigured.NotEnabled"
)
"""What may keep a cloud from switching a machine: disks, money, keys, stock. None of it exists here."""


def reason(action: str, code: str, status: int) -> str:
    """Why no request meets this error; empty where one should."""
    if found := REASONS_OF.get((action, code)):
        return found
    if code in POWER_OF_A_CLOUD.split():
        return _NEVER_OURS
    if (code, status) == ("InvalidInstanceId.NotFound", 403):
        return "answered with 404"
    return REASONS.get(code, "")
