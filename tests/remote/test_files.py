"""The program that places a file: under every shell, with every set of tools, as root and as a plain user."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.file_program import file_program, posix_cksum
from tests.support.placing import SUCCESS, Machine, busybox_only, end, file, hooked, left_behind, memory_disk
from tests.support.users import User, private_user

DASH = Machine(["dash"])

EVERY_BYTE = bytes(range(256))
LARGEST = os.urandom(24 * 1024)


@pytest.fixture(params=["dash", "bash", "busybox", "busybox of old"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """The oldest busybox has no SHA-256 and no `link`."""
    match request.param:
        case "busybox":
            return Machine(["busybox", "sh"], busybox_only(tmp_path / "tools"))
        case "busybox of old":
            return Machine(["busybox", "sh"], busybox_only(tmp_path / "tools", "sha256sum", "link"))
        case shell:
            return Machine([shell])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with private_user() as it:
        yield it


def as_user(user: User) -> Machine:
    return Machine(
        ["dash"], prefix=["setpriv", f"--reuid={user.name}", f"--regid={user.uid}", "--init-groups"]
    )


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that other users may enter (those of a test are private)."""
    with tempfile.TemporaryDirectory(prefix="ca-reachable-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


# -- what arrives


CONTENTS = {
    "one byte": b"x",
    "newline": b"\n",
    "NUL": b"\0",
    "NULs": b"\0\n\0\n",
    "no newline": b"no end",
    "every byte": EVERY_BYTE,
    "shell text": b"exit 1\nrm -rf ./x\n",
    "not UTF-8": b"\xff\xfe\xe9",
    "24 KiB": LARGEST,
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_any_bytes_arrive_as_they_are(machine: Machine, target: Path, tmp_path: Path, content: bytes) -> None:
    outcome = machine.place(file(target, content), tmp_path)

    assert end(outcome) == SUCCESS, outcome
    assert content == (target / "f").read_bytes()
    assert os.listdir(target) == ["f"]


@pytest.mark.parametrize(
    "name", ["-n", "--help", "a b", "it's", '$(id)"`id`', "*", "\\", "ü€😀", "#", "a" * 255, "~", "-", "!"]
)
def test_any_name_is_taken_literally(machine: Machine, tmp_path: Path, name: str) -> None:
    directory = tmp_path / f"in {name[:99]}" / "deep"

    outcome = machine.place(file(directory, name=name), tmp_path)

    assert end(outcome) == SUCCESS, outcome
    assert [name] == os.listdir(directory)


def test_mode_owner_and_group_are_as_asked_for(machine: Machine, target: Path, tmp_path: Path) -> None:
    plain = machine.place(file(target, name="plain"), tmp_path)
    odd = machine.place(file(target, name="odd", mode="4751", owner="daemon", group="games"), tmp_path)
    shut = machine.place(file(target, name="shut", mode="000", owner="daemon"), tmp_path)

    assert [end(plain), end(odd), end(shut)] == [SUCCESS] * 3
    facts = {one.name: one.stat() for one in target.iterdir()}
    assert [oct(stat.S_IMODE(facts[name].st_mode)) for name in ("plain", "odd", "shut")] == [
        "0o644",
        "0o4751",
        "0o0",
    ]
    owners = [((target / name).owner(), (target / name).group()) for name in ("plain", "odd", "shut")]
    assert owners == [("root", "root"), ("daemon", "games"), ("daemon", "root")]


def test_a_directory_that_hands_its_group_on_does_not_decide_the_group(target: Path, tmp_path: Path) -> None:
    os.chown(target, 0, 60)
    target.chmod(0o2755)

    DASH.place(file(target), tmp_path)

    assert ((target / "f").stat().st_gid, oct(stat.S_IMODE((target / "f").stat().st_mode))) == (0, "0o644")


def test_missing_directories_are_made_for_everybody_to_enter(
    machine: Machine, target: Path, tmp_path: Path
) -> None:
    outcome = machine.place(file(target / "a" / "b"), tmp_path)

    assert end(outcome) == SUCCESS, outcome
    assert stat.S_IMODE((target / "a" / "b").stat().st_mode) == 0o755


def test_the_root_directory_is_a_directory_like_any_other(tmp_path: Path) -> None:
    name = f"ca-test-{os.getpid()}"
    try:
        assert end(DASH.place(file(Path("/"), name=name), tmp_path)) == SUCCESS
        assert (Path("/") / name).read_bytes() == b"text\n"
    finally:
        (Path("/") / name).unlink(missing_ok=True)


def test_the_sum_without_sha256_is_that_of_cksum() -> None:
    for content in (b"", b"x", EVERY_BYTE, LARGEST):
        said = subprocess.run(["cksum"], input=content, stdout=subprocess.PIPE, check=True).stdout
        assert int(said.split()[0]) == posix_cksum(content)


# -- what is there already


LINKS = ["link", "dangling link", "link to a directory"]


@pytest.mark.parametrize("there", ["file", *LINKS, "directory", "fifo"])
def test_nothing_is_replaced_without_overwrite(
    machine: Machine, target: Path, tmp_path: Path, there: str
) -> None:
    make(target / "f", there, elsewhere=tmp_path / "elsewhere")
    before = os.lstat(target / "f")

    outcome = machine.place(file(target), tmp_path)

    assert end(outcome) == (RunStatus.INVALID, ErrorCode.FILE_ALREADY_EXISTS)
    assert f"{target}/f exists; send it with Overwrite to replace it" == outcome.error_info
    assert (before.st_ino, before.st_mode) == (os.lstat(target / "f").st_ino, os.lstat(target / "f").st_mode)
    assert untouched(tmp_path / "elsewhere")
    assert os.listdir(target) == ["f"]


@pytest.mark.parametrize("there", ["file", *LINKS])
def test_overwrite_replaces_a_file_or_a_link_itself(
    machine: Machine, target: Path, tmp_path: Path, there: str
) -> None:
    make(target / "f", there, elsewhere=tmp_path / "elsewhere")

    outcome = machine.place(file(target, b"new", overwrite=True), tmp_path)

    assert end(outcome) == SUCCESS, outcome
    assert stat.S_ISREG(os.lstat(target / "f").st_mode)
    assert (target / "f").read_bytes() == b"new"
    assert untouched(tmp_path / "elsewhere")
    assert os.listdir(target) == ["f"]


@pytest.mark.parametrize("there", ["directory", "fifo"])
def test_overwrite_spares_what_is_no_file(machine: Machine, target: Path, tmp_path: Path, there: str) -> None:
    make(target / "f", there, elsewhere=tmp_path / "elsewhere")

    outcome = machine.place(file(target, overwrite=True), tmp_path)

    assert end(outcome) == (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL)
    what = "a directory" if there == "directory" else "no regular file"
    assert outcome.error_info.startswith(f"{target}/f is {what}; choose another Name")
    assert not (target / "f").is_file()
    assert os.listdir(target) == ["f"]


def make(path: Path, what: str, *, elsewhere: Path) -> None:
    """Something at `path`; a link leads to `elsewhere`."""
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    match what:
        case "file":
            path.write_text("old")
        case "link":
            path.symlink_to(elsewhere / "kept")
        case "dangling link":
            path.symlink_to(elsewhere / "nothing")
        case "link to a directory":
            path.symlink_to(elsewhere)
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)


def untouched(elsewhere: Path) -> bool:
    return os.listdir(elsewhere) == ["kept"] and (elsewhere / "kept").read_text() == "kept"


def test_a_target_directory_behind_a_link_is_followed(machine: Machine, target: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(target)

    assert end(machine.place(file(tmp_path / "link"), tmp_path)) == SUCCESS
    assert os.listdir(target) == ["f"]


# -- what cannot be


def test_a_target_directory_that_is_a_file_is_invalid(machine: Machine, target: Path, tmp_path: Path) -> None:
    (target / "x").write_text("")
    (target / "nowhere").symlink_to(target / "none" / "none")
    (target / "round").symlink_to(target / "round")

    for directory in ("x", "x/deep", "nowhere", "round"):
        outcome = machine.place(file(target / directory), tmp_path)
        assert end(outcome) == (RunStatus.INVALID, ErrorCode.FILE_PATH_INVALID), outcome


def test_a_name_too_long_for_the_file_system_is_invalid(
    machine: Machine, target: Path, tmp_path: Path
) -> None:
    outcome = machine.place(file(target, name="ü" * 200), tmp_path)

    assert end(outcome) == (RunStatus.INVALID, ErrorCode.FILE_NAME_INVALID), outcome
    assert os.listdir(target) == []


def test_an_owner_and_a_group_that_do_not_exist_are_told_before_anything_is_made(
    machine: Machine, target: Path, tmp_path: Path
) -> None:
    owner = machine.place(file(target / "new", owner="no-such-user"), tmp_path)
    group = machine.place(file(target / "new", group="no-such-group"), tmp_path)

    assert end(owner) == (RunStatus.INVALID, ErrorCode.ACCOUNT_NOT_EXISTS)
    assert "there is no user no-such-user on the instance; create it" in owner.error_info
    assert end(group) == (RunStatus.INVALID, ErrorCode.USER_GROUP_NOT_EXISTS)
    assert os.listdir(target) == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    machine: Machine, tmp_path: Path, overwrite: bool
) -> None:
    with memory_disk(tmp_path / "disk", kib=16) as disk:
        (disk / "f").write_text("old") if overwrite else None

        outcome = machine.place(file(disk, LARGEST, overwrite=overwrite), tmp_path)

        assert end(outcome) == (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL)
        assert outcome.error_info.startswith(f"no space for {disk}/f (No space left on device); make room")
        assert (["f"] if overwrite else []) == os.listdir(disk)
        assert not overwrite or (disk / "f").read_text() == "old"


def test_what_is_cut_or_changed_on_its_way_is_not_placed(target: Path, tmp_path: Path) -> None:
    cut = hooked(tmp_path / "cut", {"tail": 'exec "$real" "$@" | head -c 3'})
    changed = hooked(tmp_path / "changed", {"tail": 'exec "$real" "$@" | tr t T'})

    outcomes = [Machine(["dash"], path).place(file(target), tmp_path) for path in (cut, changed)]

    assert [end(one) for one in outcomes] == [(RunStatus.INVALID, ErrorCode.FILE_CONTENT_INVALID)] * 2
    assert "3 of the 5 bytes" in outcomes[0].error_info
    assert "SHA-256" in outcomes[1].error_info
    assert os.listdir(target) == []


def test_a_file_system_without_links_says_what_to_do(target: Path, tmp_path: Path) -> None:
    refuses = {"ln": "echo 'ln: failed to create hard link: Operation not permitted' >&2; exit 1"}

    outcome = Machine(["dash"], hooked(tmp_path / "hooks", refuses)).place(file(target), tmp_path)

    assert end(outcome) == (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL)
    assert "no hard links" in outcome.error_info


def test_tools_of_old_that_know_fewer_options_do_as_well(target: Path, tmp_path: Path) -> None:
    """CentOS 6 to the oldest busybox: no -T, no fsync, a sync without names."""
    no_t = 'case " $* " in *" -T "*) echo "invalid option -- \'T\'" >&2; exit 1;; esac; exec "$real" "$@"'
    tools = {
        "ln": no_t,
        "mv": no_t,
        "dd": "echo \"dd: invalid conversion: 'fsync'\" >&2; exit 1",
        "sync": '[ $# -eq 0 ] || exit 1; exec "$real"',
    }
    old = Machine(["dash"], hooked(tmp_path / "hooks", tools))
    (target / "link").symlink_to(tmp_path)
    (target / "directory").mkdir()

    ends = [
        end(old.place(file(target, name=name, overwrite=overwrite), tmp_path))
        for name, overwrite in (
            ("f", False), ("f", True), ("f", False), ("link", False), ("link", True), ("directory", True),
        )
    ]  # fmt: skip

    exists = (RunStatus.INVALID, ErrorCode.FILE_ALREADY_EXISTS)
    assert [SUCCESS, SUCCESS, exists, exists, SUCCESS, (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL)] == ends
    assert (target / "link").is_file()
    assert not (target / "link").is_symlink()
    assert [] == os.listdir(target / "directory") == left_behind(target)


# -- who may


def test_a_plain_user_sends_its_own_files_and_gives_them_to_nobody(user: User, reachable: Path) -> None:
    machine = as_user(user)

    own = machine.place(file(user.home / "new", owner=user.name, group=user.name, mode="0600"), reachable)
    plain = machine.place(file(user.home, name="plain"), reachable)
    other = machine.place(file(user.home, name="other", owner="root"), reachable)
    group = machine.place(file(user.home, name="group", group="root"), reachable)
    place = machine.place(file(Path("/etc")), reachable)
    deep = machine.place(file(Path("/etc/new/deep")), reachable)

    assert [end(own), end(plain)] == [SUCCESS, SUCCESS], (own, plain)
    assert user.uid == (user.home / "plain").stat().st_uid
    assert (RunStatus.INVALID, ErrorCode.FILE_AUTHORITY_INVALID) == end(other) == end(group), (other, group)
    assert f"{user.name} may not give {user.home}/other to the user root" in other.error_info
    assert (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL) == end(place) == end(deep)
    assert "Permission denied" in place.error_info
    assert left_behind(user.home) == []


def test_nobody_sees_the_file_before_it_has_its_mode(target: Path, tmp_path: Path) -> None:
    look = f'find {target} -name f -o -perm -o=x -name ".ca-*"; find {target} -name f; exec "$real" "$@"'
    machine = Machine(["dash"], hooked(tmp_path / "hooks", {"chmod": look}))

    outcome = machine.place(file(target, mode="0400"), tmp_path)

    assert end(outcome) == SUCCESS
    assert outcome.error_info == ""
    assert stat.S_IMODE((target / "f").stat().st_mode) == 0o400


def test_a_program_that_is_stopped_leaves_nothing(target: Path, tmp_path: Path) -> None:
    stops = hooked(tmp_path / "hooks", {"chmod": "kill $PPID; exec sleep 0.2"})

    outcome = Machine(["dash"], stops).place(file(target), tmp_path)

    assert outcome.status is RunStatus.FAILED
    assert "exit code 143" in outcome.error_info
    assert os.listdir(target) == []


def test_the_program_names_its_private_directory_anew_each_time(target: Path) -> None:
    assert file_program(file(target)) != file_program(file(target))
