"""`cloudassist file`, against a whole installation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Installation, installation
from tests.support.sshd import private_sshd

pytestmark = pytest.mark.xdist_group("cli files")  # one installation for all of them


@pytest.fixture(scope="module")
def cloudassist() -> Iterator[Installation]:
    """An installation that is up, with two instances."""
    with private_sshd() as sshd, installation(here=True) as home:
        for number in (1, 2):
            home.add(sshd, f"i-{number}", f"127.0.1.{number}")
        with home.up("--no-flower") as up:
            yield home
            print(up.logs())


def test_a_file_is_sent_listed_and_shown(cloudassist: Installation, tmp_path: Path) -> None:
    local = tmp_path / "app.conf"
    local.write_bytes(b"\0\xff\n")
    target = tmp_path / "etc"

    sent = cloudassist("file", "send", str(local), str(target), "--all", "--overwrite", "--mode", "0600")

    assert (sent.exit, sent.out) == (0, f"2 instances: i-1, i-2:\n{target}/app.conf: 3 bytes\n"), sent
    assert (target / "app.conf").read_bytes() == b"\0\xff\n"
    (listed,) = cloudassist("file", "ls", "--name", "app*", "--json").json
    assert (listed["name"], listed["target_dir"], listed["total"]) == ("app.conf", str(target), 2)
    assert listed["invoke_id"] in sent.err
    shown = cloudassist("file", "show", listed["invoke_id"], "--json").json
    assert (shown["file_mode"], shown["overwrite"], shown["counts"]) == ("0600", True, {"Success": 2})
    assert [one["instance_id"] for one in shown["instances"]] == ["i-1", "i-2"]
    text = cloudassist("file", "show", listed["invoke_id"]).out
    assert f"File       {target}/app.conf\n" in text
    assert "root:root, mode 0600" in text
    assert listed["invoke_id"] not in cloudassist("invocation", "ls").out


def test_a_file_in_the_way_is_told_once_with_its_reason(cloudassist: Installation, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")

    sent = cloudassist("file", "send", "-", str(tmp_path), "--as", "there", "-i", "i-1", stdin="new")

    assert sent.exit == 1
    assert sent.out == (
        f"i-1: Invalid, FileAlreadyExists\n  {tmp_path}/there exists; send it with Overwrite to replace it\n"
    )
    assert (tmp_path / "there").read_text() == "old"


@pytest.mark.parametrize(
    ("size", "more", "says"),
    [
        (0, [], "is empty; an empty file cannot be sent"),
        (24_577, [], "FileSize.ExceedLimit: the file has 32,772 bytes after Base64, the limit is 32,768"),
        (1, ["--mode", "rw"], "FileMode.Invalid: "),
        (1, ["--owner", "a:b"], "InvalidParameter.FileOwner: "),
        (1, ["--as", "a/b"], "FileName.Invalid: "),
    ],
)
def test_what_cannot_be_sent_is_refused(
    cloudassist: Installation, tmp_path: Path, size: int, more: list[str], says: str
) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x" * size)

    sent = cloudassist("file", "send", str(local), "/none", "-i", "i-1", *more)

    assert (sent.exit, sent.out) == (2, "")
    assert says in sent.err


def test_what_was_never_sent_cannot_be_shown(cloudassist: Installation) -> None:
    run = cloudassist("run", "true", "-i", "i-1", "--json").json["invoke_id"]

    for invoke_id in ("f-none", run):
        shown = cloudassist("file", "show", invoke_id)
        assert (shown.exit, shown.out) == (2, "")
        assert f"InvalidInvokeId.NotFound: no file was sent as {invoke_id}" in shown.err
