"""Who the script runs as: root for others by setpriv, runuser or su; a plain user itself, or sudo."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.remote import STANDARD_PATH, Host, busybox_applets, install, prepared, toolbox
from tests.support.users import private_user

WHO = "id -un; id -gn; echo $HOME $USER; pwd; umask; cat /proc/$$/oom_score_adj"


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """A plain user with a home, and a second group."""
    with private_user(shell="/bin/bash", group="games") as it:
        yield it.name


@contextlib.contextmanager
def may_sudo(user: str) -> Iterator[None]:
    rule = Path(f"/etc/sudoers.d/{user}")
    rule.write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    try:
        yield
    finally:
        rule.unlink()


def as_user(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def lines(host: Host, **spec: object) -> list[str]:
    end = host.ended(host.new_id(), WHO, **spec)
    assert (end["result"], end["exit"]) == ("exited", "0"), end
    return end.body.decode().splitlines()


def test_root_runs_it_as_root_by_default(host_of_any_shell: Host) -> None:
    assert lines(host_of_any_shell)[:4] == ["root", "root", "/root root", "/root"]


def test_root_runs_it_as_another_user(host_of_any_shell: Host, user: str) -> None:
    """Fault 31 too: the script is the user's alone to read."""
    name, group, home, directory, umask, oom = lines(host_of_any_shell, user=user)

    assert [user, user, f"/home/{user} {user}", f"/home/{user}"] == [name, group, home, directory]
    assert ("22", Path("/proc/self/oom_score_adj").read_text().strip()) == (umask.lstrip("0"), oom)


@pytest.mark.parametrize("tool", ["setpriv", "runuser", "su"])
def test_each_tool_that_changes_the_user_keeps_groups_timeouts_and_exit_codes(tool: str, user: str) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ca-tools-") as directory,
        prepared("dash", path=toolbox(Path(directory) / "t", "setsid", tool)) as host,
    ):
        assert tool == host.facts["switch"]
        assert [user, user] == lines(host, user=user)[:2]
        assert "games" in host.ended(host.new_id(), "id -Gn", user=user).body.decode()
        assert host.launch(host.new_id(), "#!/bin/sh -e\nexit 7\n", user=user)[-1]["exit"] == "7"
        assert (
            host.ended(
                host.new_id(), "print('a  b')", user=user, ext=".py", launcher="python3%20-u%20%SCRIPT%"
            ).body
            == b"a  b\n"
        )
        for mode in ("Process", "ProcessTree"):
            assert (
                host.launch(host.new_id(), "exec sleep 60", user=user, timeout=1, mode=mode)[-1]["result"]
                == "timeout"
            )


def test_root_may_run_it_as_a_user_without_a_login_shell(host: Host) -> None:
    assert host.ended(host.new_id(), "id -un", user="nobody", cwd="/tmp").body == b"nobody\n"


def test_a_user_without_a_home_needs_a_directory(host: Host) -> None:
    """Fault 30: missing home."""
    end = host.launch(host.new_id(), "true", user="nobody")[-1]
    assert (end["result"], end["code"]) == ("invalid", "DefaultWorkingDirectoryNotAvailable")


def test_a_directory_that_the_user_may_not_enter_fails_with_a_message(host: Host, user: str) -> None:
    """Fault 31: the user may not enter the directory."""
    closed = host.base / "closed"
    closed.mkdir(mode=0o700)

    end = host.ended(host.new_id(), "ls; touch here", user=user, cwd=str(closed))

    assert (end["result"], end["exit"]) == ("exited", "1")
    assert b"ermission denied" in end.body


def test_other_users_cannot_read_a_script_or_its_output(host: Host, user: str) -> None:
    run_id = host.new_id()
    host.start(run_id, "echo s3cret; sleep 60")
    eventually(lambda: b"s3cret" in host.output(run_id)[0].body)
    try:
        read = subprocess.run(
            [
                *as_user(user),
                "sh",
                "-c",
                f"cat {host.base}/{run_id}/* {host.base}/{run_id}/script* {host.spool}/{run_id}/000000000000",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        ).stdout
    finally:
        host.cancel(run_id)

    assert read == b""


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_a_plain_user_runs_it_as_itself_below_its_home(user: str, shell: str) -> None:
    variables = {"HOME": f"/home/{user}", "USER": user}
    with prepared(shell, prefix=as_user(user), environment=variables, base=Path(f"/home/{user}/.ca")) as host:
        assert [user, user, f"/home/{user} {user}", f"/home/{user}"] == lines(host)[:4]
        assert [user] == lines(host, user=user)[:1]
        assert host.launch(host.new_id(), "sleep 60", timeout=1)[-1]["result"] == "timeout"
        run_id = host.new_id()
        host.start(run_id, "sleep 60")
        assert host.cancel(run_id)["result"] == "canceled"


def test_a_plain_user_chooses_its_home_as_base(user: str) -> None:
    facts = install(
        base=None,
        shell=None,
        environment={"PATH": STANDARD_PATH, "HOME": f"/home/{user}"},
        prefix=as_user(user),
    ).facts
    subprocess.run(["rm", "-rf", facts["base"], facts["spool"]], check=True)

    assert (f"/home/{user}/.ca", user, "none") == (facts["base"], facts["user"], facts["switch"])
    assert facts["sudo"] in ("no", "password")


def test_a_plain_user_without_sudo_may_not_be_another(user: str) -> None:
    with prepared("dash", prefix=as_user(user), environment={"HOME": f"/home/{user}"}) as host:
        run_id = host.new_id()

        answers = [host.launch(run_id, "id", user=other)[-1] for other in ("root", "nobody")]

        assert [answer["err"] for answer in answers] == ["SudoNotAvailable"] * 2
        assert host.status(run_id)["state"] == "absent"


def test_a_plain_user_with_sudo_has_the_helper_run_as_root(user: str) -> None:
    with may_sudo(user):
        with prepared("dash", prefix=as_user(user), environment={"HOME": f"/home/{user}"}) as plain:
            assert plain.facts["sudo"] == "yes"
        with prepared("dash", prefix=[*as_user(user), "sudo", "-n"]) as host:
            assert (host.facts["uid"], host.facts["user"]) == ("0", "root")
            assert lines(host)[:4] == ["root", "root", "/root root", "/root"]
            assert lines(host, user="nobody", cwd="/tmp")[:1] == ["nobody"]
            assert [user] == lines(host, user=user)[:1]
            run_id = host.new_id()
            with host.launched(run_id, "echo on; sleep 60") as channel:
                channel.frame()
                assert host.cancel(run_id)["result"] == "canceled"
                assert channel.frames()[-1]["result"] == "canceled"


def test_on_a_busybox_host_su_changes_the_user(user: str) -> None:
    """Fault 32: busybox has a `setpriv` that cannot change users; it must not be believed."""
    with tempfile.TemporaryDirectory(prefix="ca-applets-") as directory:
        Path(directory).chmod(0o755)
        busybox_applets(Path(directory) / "sbin")
        for applet in ("setpriv", "su", "dash", "tr", "env", "true"):
            place = Path(directory) / "sbin" / applet
            if not place.exists():
                place.symlink_to("/usr/bin/busybox")
        with prepared("/usr/bin/busybox sh", path=f"{directory}/sbin:/usr/local/sbin") as host:
            assert host.facts["switch"] == "su"
            assert [user] == lines(host, user=user)[:1]
