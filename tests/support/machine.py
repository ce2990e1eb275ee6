"""A host with a network, a boot and processes of its own: it can lose its link, vanish, and reboot.

The host is a network namespace behind a virtual cable, and in it a process namespace that an init of ours
leads: killing that init ends everything on the host at once, as cutting its power does, and `boot` starts it
again with another boot id and empty memory file systems. Its disk (keys, the helper's base) stays.

Use it inside a network namespace that is the caller's own (tests/chaos/enclosure.py): the other end of the
cable lies in the caller's.
"""

import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Instance
from tests.support.eventually import eventually
from tests.support.sshd import CONFIG, PROGRAM, make_key, no_penalties

__all__ = ["Machine"]

PORT = 22
BOOTING = """
set -e
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
for place in /run /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs $place; done
mkdir -p /run/sshd
set +e
while :; do "$2" -D -f "$1/sshd_config" -E "$1/sshd.log"; sleep 0.3; done
"""
"""The host's first process: an sshd that dies is started again, as a service manager would."""


class Machine:
    """One host, by number: 1 to 250."""

    def __init__(self, directory: Path, number: int, options: Mapping[str, str] | None = None) -> None:
        """`options`: of sshd_config."""
        self.directory = directory / f"machine-{number}"
        self.directory.mkdir()
        self.directory.chmod(0o711)
        self.number = number
        self.id = InstanceId(f"m-{number}")
        self.link = f"ca{number}"
        """Our end of the cable."""
        self.address = f"10.77.{number}.2"
        self.base = self.directory / "base"
        self.identity = self.directory / "user_ed25519"
        self.host_key = make_key(self.directory / "host_ed25519")
        (self.directory / "authorized_keys").write_text(make_key(self.identity) + "\n")
        self.boots = 0
        """How often it was started."""
        self._network: subprocess.Popen[bytes] | None = None
        self._init: subprocess.Popen[bytes] | None = None
        self._write_config(options or {})

    def instance(self, **fields: Any) -> Instance:
        """As its owner registers it."""
        return Instance(
            id=self.id,
            host=self.address,
            port=PORT,
            identity=str(self.identity),
            host_key=self.host_key,
            remote_base=str(self.base),
            **fields,
        )

    def plug_in(self) -> None:
        """Lay the cable; the host is off yet."""
        self._network = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        pid = self._network.pid
        ours = os.readlink("/proc/self/ns/net")
        eventually(lambda: os.readlink(f"/proc/{pid}/ns/net") != ours, within=60)
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _run("ip", "address", "add", f"10.77.{self.number}.1/30", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        inside = f"ip address add {self.address}/30 dev eth0; ip link set eth0 up; ip link set lo up"
        _run("nsenter", "-t", str(pid), "-n", "sh", "-ec", inside)

    def boot(self) -> None:
        """Switch it on, with a boot id that it never had; return once its sshd answers."""
        assert self._network is not None
        (self.directory / "boot_id").write_text(f"{uuid.uuid4()}\n")
        self.boots += 1
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
        shell = ("sh", "-c", BOOTING, "init", str(self.directory), PROGRAM)
        self._init = subprocess.Popen(
            ["nsenter", "-t", str(self._network.pid), "-n", *namespaces, *shell], stdin=subprocess.DEVNULL
        )
        eventually(self._answers, within=60)

    def cut_power(self) -> None:
        """Everything on it is gone at once."""
        if self._init is not None:
            self._init.kill()  # takes its child, the host's first process, with it
            self._init.wait()
            self._init = None

    def unplug(self) -> None:
        """Off, and the cable gone."""
        self.cut_power()
        if self._network is not None:
            self._network.send_signal(signal.SIGKILL)
            self._network.wait()
            self._network = None

    def link_down(self) -> None:
        """No packet comes through from now on; established connections do not know."""
        _run("ip", "link", "set", self.link, "down")

    def link_up(self) -> None:
        _run("ip", "link", "set", self.link, "up")

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, PORT), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _write_config(self, options: Mapping[str, str]) -> None:
        own = {
            "Port": str(PORT),
            "ListenAddress": "0.0.0.0",
            "HostKey": str(self.directory / "host_ed25519"),
            "AuthorizedKeysFile": str(self.directory / "authorized_keys"),
            "PidFile": "/run/sshd.pid",
        }
        settings = {**CONFIG, **no_penalties(), **own, **options}
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        (self.directory / "sshd_config").write_text(text)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
