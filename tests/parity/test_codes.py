"""Every refusal has a code, and where the vendor documents one for the operation, it is that one."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.errors import INTERNAL_ERROR, wire_error
from cloudassist_tasks.domain.errors import Kind

TARGETS = {
    Kind.MISSING_INSTANCES,
    Kind.INSTANCE_NOT_FOUND,
    Kind.TOO_MANY_INSTANCES,
}
RESOURCE_TAGS = {
    Kind.TOO_MANY_RESOURCE_TAGS,
    Kind.DUPLICATE_RESOURCE_TAG,
    Kind.MISSING_RESOURCE_TAG_KEY,
    Kind.BAD_RESOURCE_TAG_KEY,
    Kind.BAD_RESOURCE_TAG_VALUE,
    Kind.NO_INSTANCE_MATCHES,
    Kind.TARGETS_CONFLICT,
}
TAGS = {
    Kind.TOO_MANY_TAGS,
    Kind.DUPLICATE_TAG,
    Kind.MISSING_TAG_KEY,
    Kind.BAD_TAG_KEY,
    Kind.BAD_TAG_VALUE,
}
TOKENS = {Kind.BAD_CLIENT_TOKEN, Kind.CLIENT_TOKEN_REUSED, Kind.CLIENT_TOKEN_IN_PROGRESS}
PAGES = {Kind.BAD_PAGE_NUMBER, Kind.BAD_PAGE_SIZE, Kind.BAD_MAX_RESULTS, Kind.BAD_NEXT_TOKEN}
CALL = (
    TARGETS
    | RESOURCE_TAGS
    | TOKENS
    | {
        Kind.WRONG_OS,
        Kind.CONTENT_TOO_LONG,
        Kind.INVOCATION_QUOTA,
        Kind.USERNAME_TOO_LONG,
        Kind.WINDOWS_PASSWORD_MISSING,
        Kind.WINDOWS_PASSWORD_TOO_LONG,
        Kind.PARAMETER_TOO_MANY_GIVEN,
        Kind.PARAMETER_KEY_TOO_LONG,
        Kind.PARAMETER_DUPLICATE,
        Kind.PARAMETER_UNKNOWN,
        Kind.PARAMETER_DISABLED,
        Kind.PARAMETER_BAD_TYPE,
        Kind.BAD_REPEAT_MODE,
        Kind.MISSING_FREQUENCY,
        Kind.BAD_FREQUENCY,
        Kind.BAD_TERMINATION_MODE,
        Kind.BAD_CONTAINER_ID,
        Kind.BAD_CONTAINER_NAME,
    }
)
CONTENT = {
    Kind.BAD_COMMAND_TYPE,
    Kind.CONTENT_TOO_LONG,
    Kind.CONTENT_UNDECODABLE,
    Kind.NAME_TOO_LONG,
    Kind.DESCRIPTION_TOO_LONG,
    Kind.WORKING_DIR_TOO_LONG,
    Kind.BAD_CHARACTER_NAME,
    Kind.BAD_CHARACTER_DESCRIPTION,
    Kind.BAD_CHARACTER_WORKING_DIR,
    Kind.COMMAND_QUOTA,
    Kind.PARAMETER_EMPTY_NAME,
    Kind.PARAMETER_BAD_NAME,
    Kind.PARAMETER_NAME_TOO_LONG,
    Kind.PARAMETER_TOO_MANY_DEFINED,
}

DOCUMENTED: dict[str, set[Kind]] = {
    "RunCommand": CALL | CONTENT | TAGS,
    "InvokeCommand": CALL
    | {
        Kind.COMMAND_NOT_FOUND,
        Kind.PARAMETER_MISSING,
        Kind.PARAMETER_NOT_AN_OBJECT,
        Kind.PARAMETER_BAD_CHARSET,
        Kind.LAUNCHER_TOO_LONG,
    },
    "CreateCommand": CONTENT | {Kind.LAUNCHER_TOO_LONG, Kind.TIMEOUT_TOO_LONG},
    "ModifyCommand": {
        Kind.COMMAND_NOT_FOUND,
        Kind.NAME_TOO_LONG,
        Kind.DESCRIPTION_TOO_LONG,
        Kind.WORKING_DIR_TOO_LONG,
        Kind.LAUNCHER_TOO_LONG,
        Kind.TIMEOUT_TOO_LONG,
        Kind.BAD_CHARACTER_NAME,
    },
    "SendFile": TARGETS
    | TAGS
    | {
        Kind.NAME_TOO_LONG,
        Kind.DESCRIPTION_TOO_LONG,
        Kind.CONTENT_TOO_LONG,
        Kind.CONTENT_UNDECODABLE,
        Kind.BAD_CONTENT_TYPE,
        Kind.BAD_TARGET_DIR,
        Kind.BAD_FILE_OWNER,
        Kind.BAD_FILE_GROUP,
        Kind.BAD_FILE_MODE,
        Kind.TIMEOUT_TOO_LONG,
    },
    "DescribeSendFileResults": PAGES | TAGS,
    "DeleteCommand": {Kind.COMMAND_NOT_FOUND, Kind.COMMAND_IN_USE},
    "StopInvocation": {Kind.INVOCATION_NOT_FOUND, Kind.INSTANCE_NOT_IN_INVOCATION, Kind.TOO_MANY_INSTANCES},
    "DescribeCommands": PAGES | TAGS,
    "DescribeInvocations": PAGES | TAGS,
    "DescribeInvocationResults": PAGES | TAGS,
    "DescribeCloudAssistantStatus": PAGES | {Kind.INSTANCE_NOT_FOUND, Kind.TOO_MANY_INSTANCES},
    "InstallCloudAssistant": TARGETS,
}
"""The refusals for which the vendor's documents have a code, by operation."""

CASES = [(action, kind) for action, kinds in DOCUMENTED.items() for kind in sorted(kinds)]


def documented_codes(action: str) -> dict[str, Any]:
    """By HTTP status."""
    contract = json.loads((Path(__file__).parent / "contract.json").read_text())
    codes: dict[str, Any] = contract["operations"][action]["errors"]
    return codes


@pytest.mark.parametrize(("action", "kind"), CASES, ids=[f"{action}-{kind}" for action, kind in CASES])
def test_a_refusal_has_the_vendors_code_and_status(action: str, kind: Kind) -> None:
    code, status = wire_error(OPERATIONS[action], kind)

    assert code in documented_codes(action).get(str(status), []), (code, status)


def test_no_refusal_is_an_internal_error() -> None:
    operations = [None, *OPERATIONS.values()]

    unforeseen = {kind for kind in Kind for one in operations if wire_error(one, kind) == INTERNAL_ERROR}

    assert set() == unforeseen
