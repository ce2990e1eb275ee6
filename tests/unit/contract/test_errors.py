"""Errors in one line."""

import pytest

from cloudassist_tasks.contract.errors import describe_error, wire_error, wire_error_of
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand
from cloudassist_tasks.domain.errors import Broken, ErrorCode, Kind, Refused, Unreachable


def test_one_code_has_another_status_by_operation() -> None:
    assert wire_error(RunCommand, Kind.PARAMETER_UNKNOWN) == ("Parameter.NotMatched", 400)
    assert wire_error(InvokeCommand, Kind.PARAMETER_UNKNOWN) == ("Parameter.NotMatched", 403)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            Refused(Kind.INSTANCE_NOT_FOUND, "no instance i-9;\n see instance ls"),
            "InvalidInstance.NotFound: no instance i-9; see instance ls",
        ),
        (
            Unreachable(ErrorCode.CLIENT_NOT_RUNNING, "nothing listens", retry_helps=True),
            "ClientNotRunning: nothing listens",
        ),
        (Broken("no store at 127.0.0.1:1"), "ServiceUnavailable: no store at 127.0.0.1:1"),
        (
            KeyError("a secret"),
            "InternalError: KeyError; see the log, this is a fault of ours",
        ),
    ],
)
def test_an_error_is_one_line_with_its_code(error: Exception, line: str) -> None:
    assert describe_error(error) == line


def test_our_own_faults_have_a_status_of_their_own() -> None:
    assert wire_error_of(Broken("away")) == ("ServiceUnavailable", 503)
    assert wire_error_of(ValueError("?")) == ("InternalError", 500)
