"""Files sent by the Python client to real hosts: what arrives, what is told of it, what is listed."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks import (
    DescribeInvocationResults,
    DescribeInvocations,
    DescribeSendFileResults,
    Refused,
    SendFile,
    StopInvocation,
    Tag,
    describe_error,
)
from cloudassist_tasks.contract.files import FileItem
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.spec_records import spec_from
from tests.support.installation import Installation, installation  # noqa: F401
from tests.support.placing import left_behind
from tests.support.users import User, private_user

EVERY_BYTE = bytes(range(256)) * 96
"""As much as one call may send."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory on the hosts."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with private_user() as it:
        yield it


def only(installation: Installation, invoke_id: str, **filters: Any) -> FileItem:  # noqa: F811
    found = installation.client.send(DescribeSendFileResults(invoke_id=invoke_id, **filters))
    (item,) = found.invocations
    return item


def test_a_file_arrives_on_each_instance_and_is_listed_as_it_was_sent(
    installation: Installation,  # noqa: F811
    place: Path,
) -> None:
    ids = installation.add("i-1", "i-2")

    sent = installation.client.send_file(
        EVERY_BYTE, str(place / "new"), "all bytes", instances=ids, mode="0600", overwrite=True,
        owner="daemon", description="a trial", invocation_tags={"env": "test"},
    )  # fmt: skip
    summary = sent.wait(timeout=120)

    assert sent.id.startswith("f-")
    assert (summary.status, dict(summary.counts)) == ("Success", {"Success": 2})
    file = place / "new" / "all bytes"
    assert file.read_bytes() == EVERY_BYTE
    assert (file.owner(), file.group(), stat.S_IMODE(file.stat().st_mode)) == ("daemon", "root", 0o600)
    assert left_behind(place / "new") == []
    item = only(installation, sent.id)
    assert (item.name, item.target_dir, item.content_type) == ("all bytes", str(place / "new"), "Base64")
    assert (item.file_owner, item.file_group, item.file_mode, item.overwrite) == (
        "daemon",
        "root",
        "0600",
        "true",
    )
    assert (item.vm_count, item.invocation_status, item.description) == (2, "Success", "a trial")
    assert [(tag.tag_key, tag.tag_value) for tag in item.tags] == [("env", "test")]
    assert [(one.instance_id, one.invocation_status, one.error_code) for one in item.invoke_instances] == [
        ("i-1", "Success", ""),
        ("i-2", "Success", ""),
    ]
    assert all(one.start_time and one.finish_time for one in item.invoke_instances)
    assert str(EVERY_BYTE[:40]) not in repr(item)


def test_each_instance_has_its_own_end_and_the_whole_rolls_up(
    installation: Installation,  # noqa: F811
    user: User,
) -> None:
    """The login of the second one is no root, and may not write there."""
    installation.add("i-1")
    installation.add("i-2", user=user.name, remote_base=str(user.home / "ca"))

    sent = installation.client.send_file("x", "/root/new", "f", instances=["i-1", "i-2"], overwrite=True)
    summary = sent.wait(timeout=120)

    shutil.rmtree("/root/new")
    assert (summary.status, dict(summary.counts)) == ("PartialFailed", {"Success": 1, "Failed": 1})
    item = only(installation, sent.id)
    good, bad = item.invoke_instances
    assert item.invocation_status == "PartialFailed"
    assert (good.invocation_status, good.error_code) == ("Success", "")
    assert (bad.invocation_status, bad.error_code) == ("Failed", "FileCreateFail")
    assert "Permission denied" in bad.error_info


def test_a_login_that_is_no_root_keeps_its_files(installation: Installation, user: User) -> None:  # noqa: F811
    installation.add("i-2", user=user.name, remote_base=str(user.home / "ca"))
    client = installation.client

    own = client.send_file("x", str(user.home), "own", instances=["i-2"]).wait(timeout=120)
    given = client.send_file("x", str(user.home), "given", instances=["i-2"], owner="root")

    assert given.wait(timeout=120).status == "Failed"
    assert own.succeeded
    assert (user.home / "own").owner() == user.name
    (instance,) = only(installation, given.id).invoke_instances
    assert (instance.invocation_status, instance.error_code) == ("Invalid", "FileAuthorityInvalid")
    assert not (user.home / "given").exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "FileAlreadyExists"),
        ({"owner": "no-such-user"}, "AccountNotExists"),
        ({"group": "no-such-group"}, "UserGroupNotExists"),
        ({"directory": "/etc/passwd"}, "FilePathInvalid"),
        ({"file_name": "ü" * 200}, "FileNameInvalid"),
    ],
)
def test_what_an_instance_cannot_take_is_invalid_with_a_code_and_a_reason(
    installation: Installation,  # noqa: F811
    place: Path,
    changes: dict[str, str],
    code: str,
) -> None:
    installation.add("i-1")
    (place / "f").write_text("old")
    words = {"directory": str(place), "file_name": "f", **changes}

    sent = installation.client.send_file("new", instances=["i-1"], **words)  # type: ignore[arg-type]
    summary = sent.wait(timeout=120)

    assert (summary.status, summary["i-1"].error_code, summary["i-1"].exit_code) == ("Failed", code, None)
    (instance,) = only(installation, sent.id).invoke_instances
    assert (instance.invocation_status, instance.error_code) == ("Invalid", code)
    assert "; " in instance.error_info
    assert (place / "f").read_text() == "old"


def test_plain_text_is_shown_as_plain_text(installation: Installation, place: Path) -> None:  # noqa: F811
    ids = installation.add("i-1")
    request = SendFile(name="f", content="Grüße\n", target_dir=str(place), instance_id=ids)

    invoke_id = installation.client.send(request).invoke_id
    installation.client.invocation(invoke_id).wait(timeout=120)

    item = only(installation, invoke_id)
    assert (item.content, item.content_type, item.overwrite) == ("Grüße\n", "PlainText", "false")
    assert (item.file_owner, item.file_group, item.file_mode) == ("root", "root", "0644")
    assert (place / "f").read_text() == "Grüße\n"


def test_the_same_token_sends_once(installation: Installation, place: Path) -> None:  # noqa: F811
    ids = installation.add("i-1")
    token = os.urandom(8).hex()

    first = installation.client.send_file("a", str(place), "f", instances=ids, token=token)
    second = installation.client.send_file("a", str(place), "f", instances=ids, token=token)
    with pytest.raises(Refused) as refused:
        installation.client.send_file("b", str(place), "f", instances=ids, token=token)

    assert first.id == second.id
    assert describe_error(refused.value).startswith("IdempotentParameterMismatch")
    assert first.wait(timeout=120).succeeded


def test_files_and_invocations_are_listed_apart(installation: Installation, place: Path) -> None:  # noqa: F811
    ids = installation.add("i-7", "i-8")
    client = installation.client
    run = client.run("true", instances=ids, name=())
    both = client.send_file(
        "x", str(place), "app-1.conf", instances=ids, overwrite=True, invocation_tags={"app": "1"}
    )
    one = client.send_file("x", str(place), "app-2.conf", instances=["i-7"], invocation_tags={"app": "2"})
    for invocation in (run, both, one):
        invocation.wait(timeout=120)

    def files(**filters: Any) -> list[str]:
        found = client.send(DescribeSendFileResults(**filters))
        return [item.invoke_id for item in found.invocations]

    assert files(instance_id="i-7") == [one.id, both.id]
    assert files(instance_id="i-8") == [both.id]
    assert files(name="app-*") == [one.id, both.id]
    assert files(name="app-1.conf") == [both.id]
    assert files(tag=[Tag(key="app", value="2")]) == [one.id]
    assert files(instance_id="i-8", invocation_status="Failed") == []
    assert files(instance_id="i-8", invocation_status="Success") == [both.id]
    assert files(invoke_id=run.id) == []
    first = client.send(DescribeSendFileResults(instance_id="i-7", max_results=1))
    second = client.send(
        DescribeSendFileResults(instance_id="i-7", max_results=1, next_token=first.next_token)
    )
    assert [page.invocations[0].invoke_id for page in (first, second)] == [one.id, both.id]
    assert second.next_token == ""
    numbered = client.send(DescribeSendFileResults(instance_id="i-7", page_number=2, page_size=1))
    assert (numbered.total_count, numbered.invocations[0].invoke_id) == (2, both.id)
    for invoke_id in (None, both.id):
        listed = client.send(DescribeInvocations(instance_id="i-7", invoke_id=invoke_id)).invocations
        assert [item.invoke_id for item in listed] == ([] if invoke_id else [run.id])
        results = client.send(DescribeInvocationResults(instance_id="i-7", invoke_id=invoke_id)).invocation
        assert [item.invoke_id for item in results.invocation_results] == ([] if invoke_id else [run.id])


def test_with_an_instance_only_its_part_is_shown(installation: Installation, place: Path) -> None:  # noqa: F811
    ids = installation.add("i-1", "i-2")
    sent = installation.client.send_file("x", str(place), "f", instances=ids, overwrite=True)
    sent.wait(timeout=120)

    item = only(installation, sent.id, instance_id="i-2")

    assert ([one.instance_id for one in item.invoke_instances], item.vm_count) == (["i-2"], 2)


def test_sent_files_count_against_no_quota(installation: Installation, place: Path) -> None:  # noqa: F811
    ids = installation.add("i-1")
    store = installation.server.client()

    def counted() -> int:
        days = [day for day in store.keys("ca:day:*") if not str(day).endswith(".files")]
        return sum(int(store.get(day) or 0) for day in days)

    installation.client.run("true", instances=ids).wait(timeout=120)
    before = counted()

    installation.client.send_file("x", str(place), "f", instances=ids).wait(timeout=120)

    assert counted() == before > 0


def test_a_file_is_sent_again_where_it_failed(installation: Installation, place: Path) -> None:  # noqa: F811
    installation.add("i-1")
    (place / "f").write_text("old")
    failed = installation.client.send_file("new", str(place), "f", instances=["i-1"])
    failed.wait(timeout=120)
    (place / "f").unlink()

    retried = failed.retry_failed()

    assert retried.id.startswith("f-")
    assert retried.wait(timeout=120).succeeded
    assert (place / "f").read_text() == "new"
    assert retried.state().retry_of == failed.id
    installation.client.send(StopInvocation(invoke_id=retried.id))  # too late
    assert only(installation, retried.id).invocation_status == "Success"


def test_a_run_reads_what_was_sent(installation: Installation, place: Path) -> None:  # noqa: F811
    ids = installation.add("i-1")
    installation.client.send_file("#!/bin/sh\necho sent\n", str(place), "s", instances=ids, mode="755").wait(
        30
    )

    summary = installation.client.run(str(place / "s"), instances=ids).wait(timeout=120)

    assert summary["i-1"].output == "sent\n"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "a" * 256}, "FileName.ExceedLimit"),
    ({"name": "a/b"}, "FileName.Invalid"),
    ({"name": ".."}, "FileName.Invalid"),
    ({"name": "a\0b"}, "FileName.Invalid"),
    ({"content": "a" * 24_577}, "FileSize.ExceedLimit"),
    ({"content": ""}, "MissingParameter"),
    ({"content": "%", "content_type": "Base64"}, "FileContent.DecodeError"),
    ({"content_type": "Hex"}, "FileContentType.Invalid"),
    ({"target_dir": "relative"}, "FileTargetDir.Invalid"),
    ({"target_dir": ""}, "FileTargetDir.Invalid"),
    ({"target_dir": "/" + "a" * 255}, "FileTargetDir.Invalid"),
    ({"file_owner": "a" * 65}, "InvalidParameter.FileOwner"),
    ({"file_owner": "root:root"}, "InvalidParameter.FileOwner"),
    ({"file_group": "-x"}, "InvalidParameter.FileGroup"),
    ({"file_mode": "rw"}, "FileMode.Invalid"),
    ({"file_mode": "0888"}, "FileMode.Invalid"),
    ({"file_mode": "01777"}, "FileMode.Invalid"),
    ({"description": "a" * 513}, "FileDesc.ExceedLimit"),
    ({"timeout": 86_401}, "InvalidTimeout.ExceedLimit"),
    ({"instance_id": []}, "MissingParam.InstanceId"),
    ({"instance_id": ["i-none"]}, "InvalidInstance.NotFound"),
    ({"instance_id": ["i-windows"]}, "InvalidInstance.NotMatch"),
    ({"client_token": "ü"}, "InvalidClientToken.Malformed"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED, ids=[f"{c} {list(f)}" for f, c in REFUSED])
def test_what_cannot_be_sent_is_refused_before_anything_is_done(
    installation: Installation,  # noqa: F811
    changes: dict[str, Any],
    code: str,
) -> None:
    installation.add("i-1")
    installation.add("i-windows", os_type="windows")
    fields: dict[str, Any] = {"name": "f", "content": "x", "target_dir": "/none", "instance_id": ["i-1"]}

    with pytest.raises(Refused) as refused:
        installation.client.send(SendFile(**{**fields, **changes}))

    assert describe_error(refused.value, SendFile).startswith(f"{code}: ")


def test_a_timeout_that_is_too_short_is_raised(installation: Installation, place: Path) -> None:  # noqa: F811
    (instance_id,) = installation.add("i-1")
    request = SendFile(name="f", content="x", target_dir=str(place), instance_id=[instance_id], timeout=1)

    invoke_id = installation.client.send(request).invoke_id

    blob = installation.server.client().get(keys.spec(InvokeId(invoke_id)))
    assert spec_from(str(blob).encode()).timeout_s == 10
    installation.client.invocation(invoke_id).wait(timeout=120)
