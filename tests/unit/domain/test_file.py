"""What may be sent as a file, and what the end of its program and the states of its runs are called."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused
from cloudassist_tasks.domain.file import (
    ContentType,
    FileSpec,
    FileStatus,
    checked_file,
    file_status,
    outcome_of_sending,
    whole_file_status,
)
from cloudassist_tasks.domain.limits import CLASSIC
from cloudassist_tasks.domain.outcome import HostWord, Outcome, outcome_of
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus

S, F = RunStatus, FileStatus


def asked(**changes: Any) -> FileSpec:
    return checked_file(**{"name": "f", "content": "text", "target_dir": "/etc", **changes})


def test_what_is_left_out_takes_its_default() -> None:
    assert asked() == FileSpec(name="f", content=Secret(b"text"), target_dir="/etc", mode="0644")


def test_the_content_is_shown_as_it_was_sent_and_in_no_repr() -> None:
    plain, coded = asked(content="ü"), asked(content="/w\n==", content_type="base64")

    assert (plain.content.reveal(), plain.shown_content()) == ("ü".encode(), "ü")
    assert (coded.content.reveal(), coded.shown_content()) == (b"\xff", "/w==")
    assert (plain.content_type, coded.content_type) == (ContentType.PLAIN_TEXT, ContentType.BASE64)
    assert "ü" not in repr(plain)


def test_32_kib_after_base64_are_the_most() -> None:
    most = bytes(24 * 1024)
    assert len(base64.b64encode(most)) == CLASSIC.file_bytes

    assert asked(content=base64.b64encode(most).decode(), content_type="Base64").content.reveal() == most
    with pytest.raises(Refused, match=r"32,772 bytes after Base64, the limit is 32,768 \(24,576 before\)"):
        asked(content=base64.b64encode(most + b"x").decode(), content_type="Base64")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"name": "x" * 256}, Kind.NAME_TOO_LONG),
        ({"name": ""}, Kind.BAD_FILE_NAME),
        ({"name": "."}, Kind.BAD_FILE_NAME),
        ({"name": "a/b"}, Kind.BAD_FILE_NAME),
        ({"name": "a\nb"}, Kind.BAD_FILE_NAME),
        ({"name": "\ud800"}, Kind.BAD_FILE_NAME),
        ({"content": ""}, Kind.MISSING_VALUE),
        ({"content": "\udcff"}, Kind.CONTENT_UNDECODABLE),
        ({"content": "x", "content_type": "Base64"}, Kind.CONTENT_UNDECODABLE),
        ({"content": "é", "content_type": "Base64"}, Kind.CONTENT_UNDECODABLE),
        ({"content_type": "gzip"}, Kind.BAD_CONTENT_TYPE),
        ({"target_dir": ""}, Kind.BAD_TARGET_DIR),
        ({"target_dir": "etc"}, Kind.BAD_TARGET_DIR),
        ({"target_dir": "C:\\x"}, Kind.BAD_TARGET_DIR),
        ({"target_dir": "/a\0"}, Kind.BAD_TARGET_DIR),
        ({"target_dir": "/" * 256}, Kind.BAD_TARGET_DIR),
        ({"owner": "a b"}, Kind.BAD_FILE_OWNER),
        ({"owner": "a:b"}, Kind.BAD_FILE_OWNER),
        ({"owner": "-R"}, Kind.BAD_FILE_OWNER),
        ({"group": "x" * 65}, Kind.BAD_FILE_GROUP),
        ({"mode": "44"}, Kind.BAD_FILE_MODE),
        ({"mode": "00644"}, Kind.BAD_FILE_MODE),
        ({"mode": "u+x"}, Kind.BAD_FILE_MODE),
        ({"mode": "٠٦٤٤"}, Kind.BAD_FILE_MODE),
    ],
)
def test_each_fault_has_its_kind(changes: Mapping[str, Any], kind: Kind) -> None:
    with pytest.raises(Refused) as refused:
        asked(**changes)

    assert refused.value.kind is kind


def test_an_exit_code_of_the_program_is_a_state_a_code_and_the_reason_it_gave() -> None:
    def end(exit_code: int, said: str) -> Outcome:
        return outcome_of_sending(outcome_of(HostWord.EXITED, exit_code=exit_code), said)

    assert end(0, "/etc/f: 4 bytes\n") == Outcome(status=S.SUCCESS, exit_code=0)
    assert end(82, "it\nexists; …\n") == Outcome(
        status=S.INVALID, error_code=ErrorCode.FILE_ALREADY_EXISTS, error_info="it exists; …"
    )
    assert end(81, "no space; …").status is S.FAILED
    unforeseen = end(127, "sh: not found")
    assert (unforeseen.status, unforeseen.error_code) == (S.FAILED, ErrorCode.FILE_CREATE_FAIL)
    assert unforeseen.error_info.endswith("ended with exit code 127: sh: not found")


def test_an_end_that_is_not_the_programs_own_stays() -> None:
    for word in (HostWord.TIMEOUT, HostWord.LOST, HostWord.SIGNALED):
        assert outcome_of_sending(outcome_of(word), "x") == outcome_of(word)


def test_every_state_of_a_run_has_a_name_for_files() -> None:
    assert {status: file_status(status) for status in S} == {
        S.PENDING: F.PENDING,
        S.SCHEDULED: F.PENDING,
        S.RUNNING: F.RUNNING,
        S.STOPPING: F.RUNNING,
        S.SUCCESS: F.SUCCESS,
        S.FAILED: F.FAILED,
        S.TERMINATED: F.FAILED,
        S.ERROR: F.ERROR,
        S.TIMEOUT: F.TIMEOUT,
        S.INVALID: F.INVALID,
        S.ABORTED: F.ABORTED,
        S.CANCELLED: F.ABORTED,
    }


@pytest.mark.parametrize(
    ("present", "whole"),
    [
        ({S.PENDING, S.RUNNING, S.SUCCESS}, F.PENDING),
        ({S.RUNNING, S.FAILED}, F.RUNNING),
        ({S.STOPPING, S.SUCCESS}, F.RUNNING),
        ({S.SUCCESS}, F.SUCCESS),
        ({S.FAILED, S.INVALID}, F.FAILED),
        ({S.CANCELLED}, F.FAILED),
        ({S.SUCCESS, S.ABORTED}, F.PARTIAL_FAILED),
        ({S.SUCCESS, S.TERMINATED}, F.PARTIAL_FAILED),
    ],
)
def test_the_whole_follows_from_the_instances(present: set[RunStatus], whole: FileStatus) -> None:
    assert whole_file_status({**dict.fromkeys(S, 0), **dict.fromkeys(present, 3)}) is whole
