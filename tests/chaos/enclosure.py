"""Put the whole run into namespaces of its own, so that it can break networks, and leaves nothing behind.

In the network namespace every loopback address is the run's alone and rules of the packet filter touch
nobody else; in the process namespace everything that the run has started, on whatever way, ends with it.
Hosts with a network and a boot of their own (tests/support/machine.py) need both.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["enter", "inside", "why_not"]

MARK = "CHAOS_ENCLOSED"
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
SETTING_UP = """
set -e
ip link set lo up
for place in /run /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs $place; done
mkdir -p /run/sshd
"$@"
"""
"""The shell stays as the first process: it takes in whatever loses its parent. `/run` is where the helper
keeps outputs and sshd an empty directory."""


def inside() -> bool:
    """Whether this process is in such namespaces already."""
    return MARK in os.environ


def why_not() -> str:
    """Why such namespaces cannot be made here; empty if they can."""
    for tool in ("unshare", "nsenter", "ip", "nft"):
        if shutil.which(tool, path=_path()) is None:
            return f"{tool} is not installed"
    tried = subprocess.run(
        [
            *UNSHARE,
            "sh",
            "-ec",
            'ip link set lo up; nft add table inet tried; mount -t tmpfs tmpfs "$0"',
            "/run",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": _path()},
    )
    return "" if tried.returncode == 0 else f"namespaces are not permitted: {tried.stderr.strip()}"


def enter(module: str, arguments: Sequence[str]) -> NoReturn:
    """Become `python -m <module> <arguments>` in namespaces of its own."""
    command = [*UNSHARE, "sh", "-c", SETTING_UP, "chaos", sys.executable, "-m", module, *arguments]
    os.execvpe(command[0], command, {**os.environ, MARK: "1", "PATH": _path()})


def _path() -> str:
    """Administrators' tools are not on everybody's path."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
