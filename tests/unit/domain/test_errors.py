"""The error tree: what is whose fault, and whether a later try can help."""

from cloudassist_tasks.domain.errors import (
    Broken,
    CloudAssistError,
    ErrorCode,
    Kind,
    LostContact,
    Refused,
    RunFailed,
    Unreachable,
)
from cloudassist_tasks.domain.status import RunStatus


def test_a_refusal_says_what_was_wrong_and_does_not_pass_by_itself() -> None:
    refusal = Refused(Kind.BAD_VALUE, "Timeout is x; give seconds")

    assert (refusal.kind, refusal.message) == (Kind.BAD_VALUE, "Timeout is x; give seconds")
    assert not refusal.retry_helps


def test_an_unreachable_instance_aborts_its_run() -> None:
    failure = Unreachable(ErrorCode.CLIENT_NOT_RUNNING, "refused", retry_helps=True)

    assert (
        failure.status,
        failure.code,
        failure.info,
        failure.retry_helps,
    ) == (RunStatus.ABORTED, ErrorCode.CLIENT_NOT_RUNNING, "refused", True)


def test_lost_contact_may_come_back() -> None:
    failure = LostContact("gone")

    assert (failure.status, failure.code) == (RunStatus.ERROR, ErrorCode.EXECUTION_INTERRUPTED)
    assert failure.retry_helps


def test_what_is_broken_on_our_side_is_worth_another_try() -> None:
    assert Broken("store").retry_helps
    assert issubclass(Broken, CloudAssistError)
    assert not issubclass(Broken, RunFailed)
