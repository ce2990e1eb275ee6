"""A file on its way to instances: what may be asked for, and what the end of its program means.

A file is sent by a program that runs on the instance as a script does (`engine/file_program.py`), so all
that holds for runs holds for files: at most once, timeout, stop, retry. `checked_file` is the only way in
for a caller's wishes. Source: SendFile, DescribeSendFileResults; the vendor's instance-level error codes.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused
from cloudassist_tasks.domain.limits import CLASSIC, Limits
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.domain.text import check_length, check_visible

DEFAULT_MODE = "0644"

_MODE = re.compile(r"[0-7]{3,4}")
_OWNER = re.compile(r"[^-:/\s][^:/\s]*")


class ContentType(StrEnum):
    """How a file's content travels in requests and replies."""

    PLAIN_TEXT = "PlainText"
    BASE64 = "Base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """A file and where it goes."""

    name: str
    content: Secret[bytes]
    content_type: ContentType = ContentType.PLAIN_TEXT
    """As it was sent, and as it is shown again."""
    target_dir: str
    """Absolute; made where it is missing."""
    owner: str = ""
    """Empty: root, or the login's user where that is not root."""
    group: str = ""
    """Empty: root, or what the directory or the login's user has where that is not root."""
    mode: str = DEFAULT_MODE
    overwrite: bool = False
    """Replace what has the name already (never a directory); else such an instance is Invalid."""

    def shown_content(self) -> str:
        """The content as it was sent."""
        content = self.content.reveal()
        if self.content_type is ContentType.BASE64:
            return base64.b64encode(content).decode()
        return content.decode()


def checked_file(
    *,
    name: str,
    content: str,
    content_type: str = "",
    target_dir: str,
    owner: str = "",
    group: str = "",
    mode: str = "",
    overwrite: bool = False,
    limits: Limits = CLASSIC,
) -> FileSpec:
    """A file as asked for; empty texts take their defaults.

    `Refused`: NAME_TOO_LONG, BAD_FILE_NAME, BAD_CONTENT_TYPE, CONTENT_UNDECODABLE, CONTENT_TOO_LONG,
    MISSING_VALUE (no content), BAD_TARGET_DIR, BAD_FILE_OWNER, BAD_FILE_GROUP, BAD_FILE_MODE."""
    _check_name(name, limits)
    type_ = _checked_content_type(content_type)
    data = _decoded(content, type_)
    _check_size(data, limits)
    _check_target_dir(target_dir, limits)
    _check_owner("FileOwner", owner, Kind.BAD_FILE_OWNER, limits)
    _check_owner("FileGroup", group, Kind.BAD_FILE_GROUP, limits)
    mode = mode or DEFAULT_MODE
    if not _MODE.fullmatch(mode):
        raise Refused(Kind.BAD_FILE_MODE, f"FileMode {mode[:20]!r} is not three or four octal digits (0644)")
    return FileSpec(
        name=name,
        content=Secret(data),
        content_type=type_,
        target_dir=target_dir,
        owner=owner,
        group=group,
        mode=mode,
        overwrite=overwrite,
    )


def _check_name(name: str, limits: Limits) -> None:
    check_length("Name", name, limits.file_name_chars, Kind.NAME_TOO_LONG)
    check_visible("Name", name, Kind.BAD_FILE_NAME)
    if name in ("", ".", "..") or "/" in name:
        raise Refused(
            Kind.BAD_FILE_NAME, "Name must be that of a file, without a directory; that goes into TargetDir"
        )


def _checked_content_type(name: str) -> ContentType:
    for content_type in ContentType:
        if name.lower() in ("", content_type.lower()):
            return content_type
    raise Refused(
        Kind.BAD_CONTENT_TYPE, f"ContentType {name[:40]!r} does not exist; there are {', '.join(ContentType)}"
    )


def _decoded(content: str, content_type: ContentType) -> bytes:
    try:
        if content_type is ContentType.BASE64:
            return base64.b64decode("".join(content.split()), validate=True)
        return content.encode()
    except (binascii.Error, ValueError):
        raise Refused(
            Kind.CONTENT_UNDECODABLE,
            f"Content is not valid {'Base64' if content_type is ContentType.BASE64 else 'UTF-8'};"
            " check it and ContentType",
        ) from None


def _check_size(data: bytes, limits: Limits) -> None:
    if not data:
        raise Refused(Kind.MISSING_VALUE, "Content is empty; an empty file cannot be sent")
    size = (len(data) + 2) // 3 * 4
    if size > limits.file_bytes:
        raise Refused(
            Kind.CONTENT_TOO_LONG,
            f"the file has {size:,} bytes after Base64, the limit is {limits.file_bytes:,}"
            f" ({limits.file_bytes // 4 * 3:,} before); have a script fetch larger ones",
        )


def _check_target_dir(target_dir: str, limits: Limits) -> None:
    check_length("TargetDir", target_dir, limits.file_target_dir_chars, Kind.BAD_TARGET_DIR)
    check_visible("TargetDir", target_dir, Kind.BAD_TARGET_DIR)
    if not target_dir.startswith("/"):
        raise Refused(Kind.BAD_TARGET_DIR, "TargetDir must be an absolute path; begin it with /")


def _check_owner(what: str, name: str, kind: Kind, limits: Limits) -> None:
    """Only the instance knows whether there is one."""
    check_length(what, name, limits.file_owner_chars, kind)
    check_visible(what, name, kind)
    if name and not _OWNER.fullmatch(name):
        raise Refused(kind, f"{what} {name!r} cannot be a name: no blank, colon or slash, no - in front")


# -- the end on an instance

_ENDS: Mapping[int, tuple[RunStatus, ErrorCode]] = {
    81: (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL),
    82: (RunStatus.INVALID, ErrorCode.FILE_ALREADY_EXISTS),
    83: (RunStatus.INVALID, ErrorCode.FILE_CONTENT_INVALID),
    84: (RunStatus.INVALID, ErrorCode.FILE_NAME_INVALID),
    85: (RunStatus.INVALID, ErrorCode.FILE_PATH_INVALID),
    86: (RunStatus.INVALID, ErrorCode.FILE_AUTHORITY_INVALID),
    87: (RunStatus.INVALID, ErrorCode.USER_GROUP_NOT_EXISTS),
    88: (RunStatus.INVALID, ErrorCode.ACCOUNT_NOT_EXISTS),
}
"""The exit codes of the program."""


def outcome_of_sending(outcome: Outcome, said: str) -> Outcome:
    """The end of a file's run, from that of its program and from what the program has said."""
    if outcome.status is not RunStatus.FAILED or outcome.exit_code is None:
        return outcome
    status, code = _ENDS.get(outcome.exit_code, (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL))
    reason = " ".join(said.split())
    unforeseen = f"the program that places the file ended with exit code {outcome.exit_code}"
    if outcome.exit_code not in _ENDS:
        reason = f"{unforeseen}: {reason}" if reason else f"{unforeseen}; see the instance's own log"
    return replace(outcome, status=status, error_code=code, error_info=reason or unforeseen, exit_code=None)


# -- the file vocabulary


class FileStatus(StrEnum):
    """State of a file on one instance, or (without Invalid, Aborted, Error, Timeout) of the whole."""

    PENDING = "Pending"
    INVALID = "Invalid"
    RUNNING = "Running"
    ABORTED = "Aborted"
    SUCCESS = "Success"
    FAILED = "Failed"
    ERROR = "Error"
    TIMEOUT = "Timeout"
    PARTIAL_FAILED = "PartialFailed"


WHOLE = (
    FileStatus.PENDING,
    FileStatus.RUNNING,
    FileStatus.SUCCESS,
    FileStatus.FAILED,
    FileStatus.PARTIAL_FAILED,
)
"""The states of the whole."""

_OTHER_NAMES: Mapping[RunStatus, FileStatus] = {
    RunStatus.SCHEDULED: FileStatus.PENDING,
    RunStatus.STOPPING: FileStatus.RUNNING,
    RunStatus.CANCELLED: FileStatus.ABORTED,
    RunStatus.TERMINATED: FileStatus.FAILED,
}
"""States of a run for which files have no word; a file that was stopped has not arrived for sure."""


def file_status(status: RunStatus) -> FileStatus:
    """What a run's state is called for a file."""
    return _OTHER_NAMES.get(status) or FileStatus(status.value)


def whole_file_status(tally: Mapping[RunStatus, int]) -> FileStatus:
    """State of the whole; any Pending decides first. Source: DescribeSendFileResults, roll-up."""
    present = {file_status(status) for status, count in tally.items() if count > 0}
    for status in (FileStatus.PENDING, FileStatus.RUNNING):
        if status in present:
            return status
    if present == {FileStatus.SUCCESS}:
        return FileStatus.SUCCESS
    return FileStatus.PARTIAL_FAILED if FileStatus.SUCCESS in present else FileStatus.FAILED
