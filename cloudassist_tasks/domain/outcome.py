"""What the end of a run on its host means for the run: one table from the helper's words to ours.

Called wherever a result arrives: by the worker that followed, by collect, by a verified stop. Nothing
else decides a final state from what a host said. Source: `docs/architecture.md`; the vendor's
instance-level error codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.status import RunStatus


class HostWord(StrEnum):
    """How a run ended, in the helper's words."""

    EXITED = "exited"
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    SIGNALED = "signal"
    """The host was going down in order and the helper stopped the run."""
    INVALID = "invalid"
    LOST = "lost"
    ERROR = "error"


NOT_STARTED = "NotStarted"
"""The helper's code beside `canceled` when the stop came before the start: it never will start."""

INSTANCE_REBOOTED = "InstanceRebooted"
"""The helper's code beside `lost` when the host's boot id has changed since the launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The final state of a run, and why."""

    status: RunStatus
    error_code: ErrorCode = ErrorCode.NONE
    error_info: str = ""
    """For people: names the thing and the next step."""
    exit_code: int | None = None
    """None wherever the process did not end by itself."""


def outcome_of(
    word: HostWord,
    *,
    code: str = "",
    detail: str = "",
    exit_code: int | None = None,
    stop_requested: bool = False,
    unkilled: bool = False,
) -> Outcome:
    """The end of a run whose host said `word`.

    `code`, `detail`, `exit_code` and `unkilled` are the helper's; `stop_requested` is the store's. A run
    that ended by itself, or timed out, before a stop reached it keeps that end.
    """
    match word:
        case HostWord.EXITED:
            return _exited(exit_code)
        case HostWord.TIMEOUT:
            return _timed_out(unkilled)
        case HostWord.CANCELED:
            return _canceled(code, stop_requested=stop_requested, unkilled=unkilled)
        case HostWord.SIGNALED:
            return _error(
                ErrorCode.INSTANCE_RESTARTED,
                "the instance was going down and its helper stopped the script; run it again once it is up",
            )
        case HostWord.INVALID:
            return _invalid(code, detail)
        case HostWord.LOST:
            return _lost(code, detail)
        case HostWord.ERROR:
            return _error(ErrorCode.EXECUTION_EXCEPTION, _reason(code, detail, "the helper could not run it"))
        case _:
            assert_never(word)


def outcome_of_failure(failure: RunFailed) -> Outcome:
    """The end of a run that failed on our way to its host, or before it."""
    return Outcome(status=failure.status, error_code=failure.code, error_info=failure.info)


def _exited(exit_code: int | None) -> Outcome:
    if exit_code is None:
        return _error(
            ErrorCode.EXECUTION_EXCEPTION, "the helper reported an end without an exit code; prepare the host"
        )
    if exit_code == 0:
        return Outcome(status=RunStatus.SUCCESS, exit_code=0)
    return Outcome(
        status=RunStatus.FAILED,
        error_code=ErrorCode.EXIT_CODE_NONZERO,
        error_info=f"the script ended with exit code {exit_code}; see its output",
        exit_code=exit_code,
    )


def _timed_out(unkilled: bool) -> Outcome:
    survivor = "; a process of it cannot be killed and is still there" if unkilled else ""
    return Outcome(
        status=RunStatus.TIMEOUT,
        error_code=ErrorCode.EXECUTION_TIMEOUT,
        error_info=f"the script was still running at its timeout and was stopped{survivor}",
    )


def _canceled(code: str, *, stop_requested: bool, unkilled: bool) -> Outcome:
    if code == NOT_STARTED:
        return Outcome(status=RunStatus.CANCELLED)
    if unkilled:
        return _error(
            ErrorCode.TERMINATION_EXCEPTION,
            "the stop left a process that cannot be killed (it waits in the kernel); see ps on the instance",
        )
    if not stop_requested:
        return _error(
            ErrorCode.EXECUTION_INTERRUPTED, "somebody on the instance, not a stop of ours, ended the script"
        )
    return Outcome(status=RunStatus.TERMINATED)


_UNUSABLE: Mapping[str, tuple[ErrorCode, str]] = {
    "AccountNotExists": (
        ErrorCode.ACCOUNT_NOT_EXISTS,
        "the run-as user does not exist on the instance; create it or choose another",
    ),
    "DirectoryNotExists": (
        ErrorCode.DIRECTORY_NOT_EXISTS,
        "the working directory does not exist on the instance; create it or choose another",
    ),
    "DefaultWorkingDirectoryNotAvailable": (
        ErrorCode.DEFAULT_WORKING_DIRECTORY_NOT_AVAILABLE,
        "the run-as user's home cannot be entered; give a working directory",
    ),
}


def _invalid(code: str, detail: str) -> Outcome:
    if code not in _UNUSABLE:
        return _error(
            ErrorCode.EXECUTION_EXCEPTION, _reason(code, detail, "the helper refused it without a reason")
        )
    error_code, text = _UNUSABLE[code]
    return Outcome(
        status=RunStatus.INVALID, error_code=error_code, error_info=f"{text} ({detail})" if detail else text
    )


def _lost(code: str, detail: str) -> Outcome:
    if code == INSTANCE_REBOOTED:
        return _error(
            ErrorCode.INSTANCE_RESTARTED,
            "the instance restarted during the run; how far the script came is unknown, it is not run again",
        )
    return _error(
        ErrorCode.EXECUTION_INTERRUPTED,
        f"{_reason(code, detail, 'the run is gone from its host')}; its exit code is unknown,"
        " see the instance's own log",
    )


def _error(error_code: ErrorCode, info: str) -> Outcome:
    return Outcome(status=RunStatus.ERROR, error_code=error_code, error_info=info)


def _reason(code: str, detail: str, otherwise: str) -> str:
    return ": ".join(part for part in (code, detail) if part) or otherwise
