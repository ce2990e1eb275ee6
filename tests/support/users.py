"""A user of this machine for a test, gone with everything of it at the end. Needs root."""

import contextlib
import fcntl
import pwd
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.processes import any_alive, remove_spools

__all__ = ["User", "private_user"]

IN_USE = 8
"""How userdel ends while a process of the user runs."""


@dataclass(frozen=True)
class User:
    name: str
    uid: int
    home: Path
    sudo_rule: Path
    """The file that lets it use sudo, if it may."""


@contextlib.contextmanager
def private_user(
    *, sudo: bool = False, password: str = "", shell: str = "/bin/sh", group: str = ""
) -> Iterator[User]:
    """Make a user that can log in by key, or by `password`; with `sudo` it may become anybody without one.

    group: one more that it is in, beside its own.
    """
    name = f"ca-{secrets.token_hex(4)}"
    more = ["-G", group] if group else []
    with _alone():
        subprocess.run(
            ["useradd", "-m", "-s", shell, "-p", "*", *more, name], check=True, capture_output=True
        )
    rule = Path("/etc/sudoers.d") / name
    try:
        if password:
            with _alone():
                subprocess.run(["chpasswd"], input=f"{name}:{password}\n".encode(), check=True)
        if sudo:
            rule.write_text(f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n")
            rule.chmod(0o440)
        entry = pwd.getpwnam(name)
        yield User(name, entry.pw_uid, Path(entry.pw_dir), rule)
    finally:
        rule.unlink(missing_ok=True)
        eventually(lambda: _deleted(name), within=60)
        remove_spools(name)


def _deleted(name: str) -> bool:
    """Whether it is gone. Not while a process of it runs: one may have begun since the others were ended."""
    _end_processes(name)
    with _alone():
        done = subprocess.run(["userdel", "-r", name], capture_output=True, check=False)
    if done.returncode == IN_USE:
        return False
    done.check_returncode()
    return True


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Of all test processes: the system's own lock is waited for 15 s, then refused."""
    with (Path(tempfile.gettempdir()) / "cloudassist-test-users.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _end_processes(name: str) -> None:
    """userdel refuses while a process of the user is left; those are the test's own."""
    while True:
        found = subprocess.run(["pgrep", "-u", name], capture_output=True, text=True, check=False).stdout
        pids = [int(word) for word in found.split()]
        if not any_alive(pids):
            return
        subprocess.run(["kill", "-9", *map(str, pids)], check=False, capture_output=True)
