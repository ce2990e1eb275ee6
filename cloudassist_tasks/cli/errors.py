"""Whatever goes wrong, a user reads one line per fault on standard error, and no traceback.

`CLOUDASSIST_DEBUG=1` shows the traceback as well.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cloudassist_tasks.cli.exits import Exit
from cloudassist_tasks.contract.errors import describe_error
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.errors import CloudAssistError

__all__ = ["BadRoster", "BadUsage", "Fault", "OperationFailed", "report"]

SHOWN_FAULTS = 20


class BadUsage(CloudAssistError):
    """The command line makes no sense as it was typed."""


class OperationFailed(CloudAssistError):
    """An operation was refused, or our side is broken; knows which one, for the vendor's code."""

    def __init__(self, operation: type[Operation[Any]], error: CloudAssistError, hint: str = "") -> None:
        super().__init__(str(error))
        self.operation = operation
        self.error = error
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class BadRoster(CloudAssistError):
    """A file of instances has faults; nothing was registered."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def report(error: BaseException) -> Exit:
    """Tell the user, and give the exit code."""
    if os.environ.get("CLOUDASSIST_DEBUG") == "1":
        traceback.print_exception(error)
    for line in _lines(error):
        print(f"error: {line}", file=sys.stderr)
    return Exit.REFUSED if isinstance(error, CloudAssistError) else Exit.INTERNAL


def _lines(error: BaseException) -> list[str]:
    match error:
        case BadUsage():
            return [str(error)]
        case BadRoster(faults=faults):
            more = len(faults) - SHOWN_FAULTS
            lines = [f"InvalidInstance.Malformed: {fault}" for fault in faults[:SHOWN_FAULTS]]
            lines += [f"and {more:,} more faults"] if more > 0 else []
            return [*lines, "nothing was registered; correct the file and import it again"]
        case OperationFailed():
            return [describe_error(error.error, error.operation) + (f"; {error.hint}" if error.hint else "")]
        case CloudAssistError():
            return [describe_error(error)]
        case _:
            why = " ".join(str(error).split())[:200]
            what = f"{type(error).__name__}: {why}" if why else type(error).__name__
            return [f"{what} (a fault of ours: CLOUDASSIST_DEBUG=1 shows where it happened)"]
