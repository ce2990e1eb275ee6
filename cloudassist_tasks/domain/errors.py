"""Everything that can go wrong, in three families.

    CloudAssistError
    ├── Refused        the caller can fix it; `kind` says what, contract/errors.py has the wire code
    ├── RunFailed      what happened on an instance; recorded on the run, never shown as a crash
    │   ├── Unreachable    no working connection, nothing was sent
    │   └── LostContact    the connection broke after something may have been sent
    └── Broken         our side: the store or the broker cannot be reached, or answered nonsense

A message names the thing and the next step, and holds no script, parameter, environment or key.
"""

from enum import StrEnum

from cloudassist_tasks.domain.status import RunStatus


class CloudAssistError(Exception):
    """Root of all errors of ours."""

    retry_helps = False
    """Whether the same call may succeed later with nothing changed by the caller."""


class Kind(StrEnum):
    """What a refused caller did wrong, or ran into."""

    MISSING_INSTANCES = "MissingInstances"
    INSTANCE_NOT_FOUND = "InstanceNotFound"
    TOO_MANY_INSTANCES = "TooManyInstances"
    NO_INSTANCE_MATCHES = "NoInstanceMatches"
    WRONG_OS = "WrongOs"
    BAD_INSTANCE = "BadInstance"
    INSTANCE_EXISTS = "InstanceExists"
    INSTANCE_IN_USE = "InstanceInUse"
    COMMAND_NOT_FOUND = "CommandNotFound"
    COMMAND_IN_USE = "CommandInUse"
    BAD_COMMAND_TYPE = "BadCommandType"
    CONTENT_TOO_LONG = "ContentTooLong"
    CONTENT_UNDECODABLE = "ContentUndecodable"
    NAME_TOO_LONG = "NameTooLong"
    DESCRIPTION_TOO_LONG = "DescriptionTooLong"
    WORKING_DIR_TOO_LONG = "WorkingDirTooLong"
    BAD_CHARACTER_NAME = "BadCharacterName"
    BAD_CHARACTER_DESCRIPTION = "BadCharacterDescription"
    BAD_CHARACTER_WORKING_DIR = "BadCharacterWorkingDir"
    USERNAME_TOO_LONG = "UsernameTooLong"
    LAUNCHER_TOO_LONG = "LauncherTooLong"
    TIMEOUT_TOO_LONG = "TimeoutTooLong"
    COMMAND_QUOTA = "CommandQuota"
    INVOCATION_QUOTA = "InvocationQuota"
    PARAMETER_EMPTY_NAME = "ParameterEmptyName"
    PARAMETER_BAD_NAME = "ParameterBadName"
    PARAMETER_NAME_TOO_LONG = "ParameterNameTooLong"
    PARAMETER_TOO_MANY_DEFINED = "ParameterTooManyDefined"
    PARAMETER_TOO_MANY_GIVEN = "ParameterTooManyGiven"
    PARAMETER_KEY_TOO_LONG = "ParameterKeyTooLong"
    PARAMETER_DUPLICATE = "ParameterDuplicate"
    PARAMETER_UNKNOWN = "ParameterUnknown"
    PARAMETER_MISSING = "ParameterMissing"
    PARAMETER_DISABLED = "ParameterDisabled"
    PARAMETER_NOT_AN_OBJECT = "ParameterNotAnObject"
    PARAMETER_BAD_TYPE = "ParameterBadType"
    PARAMETER_BAD_CHARSET = "ParameterBadCharset"
    PARAMETER_STORE = "ParameterStore"
    BAD_REPEAT_MODE = "BadRepeatMode"
    MISSING_FREQUENCY = "MissingFrequency"
    BAD_FREQUENCY = "BadFrequency"
    BAD_TERMINATION_MODE = "BadTerminationMode"
    BAD_CONTAINER_ID = "BadContainerId"
    BAD_CONTAINER_NAME = "BadContainerName"
    CONTAINER_NOT_SUPPORTED = "ContainerNotSupported"
    WINDOWS_PASSWORD_MISSING = "WindowsPasswordMissing"
    WINDOWS_PASSWORD_TOO_LONG = "WindowsPasswordTooLong"
    DOES_NOT_REPEAT = "DoesNotRepeat"
    INVOCATION_FINISHED = "InvocationFinished"
    NOT_SUPPORTED = "NotSupported"
    NO_SUCH_OPERATION = "NoSuchOperation"
    INVOCATION_NOT_FOUND = "InvocationNotFound"
    INSTANCE_NOT_IN_INVOCATION = "InstanceNotInInvocation"
    BAD_CLIENT_TOKEN = "BadClientToken"
    CLIENT_TOKEN_REUSED = "ClientTokenReused"
    CLIENT_TOKEN_IN_PROGRESS = "ClientTokenInProgress"
    BAD_TAG = "BadTag"
    TOO_MANY_TAGS = "TooManyTags"
    DUPLICATE_TAG = "DuplicateTag"
    MISSING_TAG_KEY = "MissingTagKey"
    BAD_TAG_KEY = "BadTagKey"
    BAD_TAG_VALUE = "BadTagValue"
    TOO_MANY_RESOURCE_TAGS = "TooManyResourceTags"
    """The tags that select instances have codes of their own."""
    DUPLICATE_RESOURCE_TAG = "DuplicateResourceTag"
    MISSING_RESOURCE_TAG_KEY = "MissingResourceTagKey"
    BAD_RESOURCE_TAG_KEY = "BadResourceTagKey"
    BAD_RESOURCE_TAG_VALUE = "BadResourceTagValue"
    TARGETS_CONFLICT = "TargetsConflict"
    TOO_MANY_RESOURCES = "TooManyResources"
    RESOURCE_NOT_FOUND = "ResourceNotFound"
    RESOURCE_TYPE_NOT_FOUND = "ResourceTypeNotFound"
    TAG_QUOTA = "TagQuota"
    TAGS_AND_ALL = "TagsAndAll"
    NEITHER_TAGS_NOR_RESOURCES = "NeitherTagsNorResources"
    TOO_MANY_TAG_VALUES = "TooManyTagValues"
    BAD_TAG_FILTER = "BadTagFilter"
    BAD_PAGE_NUMBER = "BadPageNumber"
    BAD_PAGE_SIZE = "BadPageSize"
    BAD_MAX_RESULTS = "BadMaxResults"
    BAD_NEXT_TOKEN = "BadNextToken"
    MISSING_VALUE = "MissingValue"
    BAD_VALUE = "BadValue"
    BAD_FILE_NAME = "BadFileName"
    BAD_CONTENT_TYPE = "BadContentType"
    BAD_TARGET_DIR = "BadTargetDir"
    BAD_FILE_OWNER = "BadFileOwner"
    BAD_FILE_GROUP = "BadFileGroup"
    BAD_FILE_MODE = "BadFileMode"
    BAD_SETTING = "BadSetting"
    RESOURCE_GROUP_NOT_FOUND = "ResourceGroupNotFound"
    REGION_NOT_FOUND = "RegionNotFound"
    INSTANCE_STATUS_NOT_FOUND = "InstanceStatusNotFound"
    ZONE_NOT_FOUND = "ZoneNotFound"
    POWER_DENIED = "PowerDenied"
    WRONG_INSTANCE_STATUS = "WrongInstanceStatus"
    DRY_RUN_PASSED = "DryRunPassed"
    """Nothing stands in the way; the vendor reports that as an error."""
    STORE_FULL = "StoreFull"
    NOT_PERMITTED = "NotPermitted"
    FORBIDDEN = "Forbidden"
    """The caller's role or policy does not allow it."""
    ACCESS_KEY_NOT_FOUND = "AccessKeyNotFound"
    ACCESS_KEY_INACTIVE = "AccessKeyInactive"
    EVENTS_EXPIRED = "EventsExpired"
    BAD_CURSOR = "BadCursor"
    BAD_CALLBACK = "BadCallback"
    BAD_WEBHOOK = "BadWebhook"
    WEBHOOK_NOT_FOUND = "WebhookNotFound"
    # the way in over HTTP
    MISSING_ACTION = "MissingAction"
    MISSING_VERSION = "MissingVersion"
    BAD_VERSION = "BadVersion"
    MISSING_ACCESS_KEY = "MissingAccessKey"
    INCOMPLETE_SIGNATURE = "IncompleteSignature"
    SIGNATURE_MISMATCH = "SignatureMismatch"
    SIGNATURE_NONCE_USED = "SignatureNonceUsed"
    BAD_TIMESTAMP = "BadTimestamp"
    TIMESTAMP_EXPIRED = "TimestampExpired"
    SECURITY_TOKEN = "SecurityToken"
    WRONG_METHOD = "WrongMethod"
    MALFORMED_REQUEST = "MalformedRequest"
    REQUEST_LINE_TOO_LONG = "RequestLineTooLong"
    REQUEST_HEADER_TOO_LONG = "RequestHeaderTooLong"
    REQUEST_BODY_TOO_LONG = "RequestBodyTooLong"
    REQUEST_TOO_SLOW = "RequestTooSlow"


class Refused(CloudAssistError):
    """The caller can fix it. Nothing was done."""

    def __init__(self, kind: Kind, message: str, *, about: str = "") -> None:
        """`about`: the name of the parameter, where the code has it in it."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.about = about
        self.retry_helps = kind is Kind.STORE_FULL


class ErrorCode(StrEnum):
    """Why a run did not succeed: the vendor's instance-level codes that we use."""

    NONE = ""
    INSTANCE_NOT_EXISTS = "InstanceNotExists"
    INSTANCE_RELEASED = "InstanceReleased"
    INSTANCE_NOT_RUNNING = "InstanceNotRunning"
    INSTANCE_RESTARTED = "InstanceRestarted"
    COMMAND_NOT_APPLICABLE = "CommandNotApplicable"
    ACCOUNT_NOT_EXISTS = "AccountNotExists"
    DIRECTORY_NOT_EXISTS = "DirectoryNotExists"
    DEFAULT_WORKING_DIRECTORY_NOT_AVAILABLE = "DefaultWorkingDirectoryNotAvailable"
    INVALID_SYSTEM_BUILT_IN_PARAMETER = "InvalidSystemBuiltInParameter"
    INVALID_COMMAND_TEXT = "InvalidCommandText"
    USER_OR_PASSWORD_INVALID = "UserOrPasswordInvalid"
    UNSUPPORTED_CONTAINER_RUNTIME = "UnsupportedContainerRuntime"
    CLIENT_NOT_RUNNING = "ClientNotRunning"
    """Nothing listens at the instance's port."""
    CLIENT_NOT_ONLINE = "ClientNotOnline"
    """It answers but we cannot log in: key refused, wrong host key, no identity."""
    CLIENT_NETWORK_BLOCKED = "ClientNetworkBlocked"
    """No route, name not found, no answer to the connect."""
    CLIENT_NOT_RESPONSE = "ClientNotResponse"
    """Connected, but what answers is silent or is not our helper."""
    TASK_CONCURRENCY_LIMIT = "TaskConcurrencyLimit"
    DELIVERY_TIMEOUT = "DeliveryTimeout"
    EXECUTION_TIMEOUT = "ExecutionTimeout"
    EXECUTION_EXCEPTION = "ExecutionException"
    EXECUTION_INTERRUPTED = "ExecutionInterrupted"
    EXIT_CODE_NONZERO = "ExitCodeNonzero"
    TERMINATION_EXCEPTION = "TerminationException"
    FILE_CREATE_FAIL = "FileCreateFail"
    FILE_ALREADY_EXISTS = "FileAlreadyExists"
    FILE_CONTENT_INVALID = "FileContentInvalid"
    """What arrived is not what was sent."""
    FILE_NAME_INVALID = "FileNameInvalid"
    FILE_PATH_INVALID = "FilePathInvalid"
    FILE_AUTHORITY_INVALID = "FileAuthorityInvalid"
    """The login may not give the file this owner, group or mode."""
    USER_GROUP_NOT_EXISTS = "UserGroupNotExists"
    CRON_EXPRESSION_EXPIRED = "CronExpressionExpired"
    """Its last time passed while no beat was up."""
    MAX_ERRORS_EXCEEDED = "MaxErrorsExceeded"
    """Ours: it had not begun when too many of the invocation's runs had failed."""


class RunFailed(CloudAssistError):
    """What became of one run: it is recorded as `status` with `code` and `info`."""

    def __init__(self, status: RunStatus, code: ErrorCode, info: str) -> None:
        super().__init__(info)
        self.status = status
        self.code = code
        self.info = info


class Unreachable(RunFailed):
    """No working connection; nothing was sent. `retry_helps`: the fault may pass (a timeout, a dropped
    banner), as opposed to a refused key."""

    def __init__(self, code: ErrorCode, info: str, *, retry_helps: bool) -> None:
        super().__init__(RunStatus.ABORTED, code, info)
        self.retry_helps = retry_helps


class LostContact(RunFailed):
    """The connection broke while a run was being launched or followed. What happened on the host is
    unknown until it answers again."""

    retry_helps = True

    def __init__(self, info: str) -> None:
        super().__init__(RunStatus.ERROR, ErrorCode.EXECUTION_INTERRUPTED, info)


class Broken(CloudAssistError):
    """Our side cannot do its work: the store or the broker is away. Nothing half-done is left behind
    that the next try, or reconcile, does not settle."""

    retry_helps = True


class StoreFull(Broken):
    """The server's memory is at its limit."""


class Unreadable(Broken):
    """The store answers, with something that is damaged: it stays so until somebody mends it."""

    retry_helps = False
