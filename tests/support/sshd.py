"""A private sshd for a test: the real one, on every loopback address, so that 127.x.y.z are many instances.

It has host and user keys of its own and leaves nothing: the listener, its connections and what runs left
behind are ended by pid. The helper's files go to its directory (`remote_base`), never to the machine's own.
"""

import functools
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Instance
from tests.support.eventually import eventually
from tests.support.ports import own_port
from tests.support.processes import (
    any_alive,
    born,
    cut_power,
    descendants,
    end,
    mentioning,
    remove_spools,
    with_run_id,
)

__all__ = ["Sshd", "private_sshd", "sshd"]

PROGRAM = "/usr/sbin/sshd"
KEPT_LOG_BYTES = 4096

CONFIG = {
    "AddressFamily": "inet",
    "AuthenticationMethods": "any",
    "KbdInteractiveAuthentication": "no",
    "LogLevel": "INFO",
    "LoginGraceTime": "30",
    "MaxAuthTries": "20",
    "MaxSessions": "10",
    "MaxStartups": "500:30:1000",
    "PasswordAuthentication": "no",
    "PermitRootLogin": "yes",
    "PermitUserEnvironment": "no",
    "PrintLastLog": "no",
    "PrintMotd": "no",
    "SetEnv": "SHLVL=1",  # else bash reads ~/.bashrc for each command
    "StrictModes": "no",
    "UseDNS": "no",
    "UsePAM": "no",
}
"""What a test may override with `private_sshd(MaxStartups="10:30:100", …)`."""


class Sshd:
    """One sshd with its directory."""

    def __init__(self, directory: Path, options: Mapping[str, str], within: Sequence[str] = ()) -> None:
        self.directory = directory
        self.within = within
        self.base = directory / "base"
        self.log = directory / "sshd.log"
        self.identity = str(directory / "user_ed25519")
        self.authorized_keys = directory / "authorized_keys"
        self.options = dict(options)
        self.boot_id: Path | None = None
        """What these hosts show as the boot id of their kernel, if `start_with_boot_id` was called."""
        self.boottime_ahead_s: int | None = None
        """How much longer than this machine they have been up; None: as long."""
        self.port = own_port(self)
        self.process: subprocess.Popen[bytes] | None = None
        self.host_key = make_key(directory / "host_ed25519")
        self.authorized_keys.write_text(make_key(Path(self.identity)) + "\n")
        self.authorized_keys.chmod(0o644)

    def instance(self, instance_id: str, host: str = "127.0.0.1", **changes: Any) -> Instance:
        """An instance on this sshd as its owner would register it; `changes` are fields of `Instance`."""
        whole = Instance(
            id=InstanceId(instance_id),
            host=host,
            port=self.port,
            identity=self.identity,
            host_key=self.host_key,
            remote_base=str(self.base),
        )
        return replace(whole, **changes)

    def authorize(self, public_key: str) -> None:
        """Also let this key in."""
        with self.authorized_keys.open("a") as file:
            file.write(public_key + "\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._pid_file.unlink(missing_ok=True)
        config = self.directory / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in self._settings().items()))
        command = [*self._in_namespace(), PROGRAM, "-D", "-f", str(config), "-E", str(self.log)]
        self.process = subprocess.Popen([*self.within, *command], stdin=subprocess.DEVNULL)
        eventually(lambda: self._answers() or self._ended(), within=60)
        if self._ended():
            raise RuntimeError(f"sshd does not start:\n{self.log_tail()}")

    def start_with_boot_id(self, boot_id: str, *, up_s: int | None = None) -> None:
        """Start it in a mount namespace of its own, in which the kernel's boot id is a file: so `boot` can
        change it for everything that this sshd starts. Nothing else of a boot takes place. `up_s`: and in a
        time namespace, in which the kernel has been up so long."""
        self.boot_id = self.directory / "boot_id"
        self.boot(boot_id)
        self._count_uptime(up_s)
        self.stop()
        self.start()

    def reboot(self, boot_id: str, *, up_s: int = 1) -> None:
        """All that runs on these hosts ends; they come back in this boot, up for so long."""
        self.go_down()
        remove_spools(self.directory.name)
        self.boot(boot_id)
        self._count_uptime(up_s)
        self.start()

    def go_down(self) -> None:
        """All that runs on these hosts ends, and nobody answers there. `start` is the same boot again."""
        listener = set() if self.process is None else {self.process.pid}
        cut_power(lambda: listener | descendants(*listener) | mentioning(str(self.directory)))
        if self.process is not None:
            self.process.wait()
            self.process = None

    def _count_uptime(self, up_s: int | None) -> None:
        now_s = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        self.boottime_ahead_s = None if up_s is None else up_s - now_s

    def boot(self, boot_id: str) -> None:
        """From now on these hosts show this boot id."""
        assert self.boot_id is not None
        self.boot_id.write_text(boot_id + "\n")

    def _in_namespace(self) -> list[str]:
        if self.boot_id is None:
            return []
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        ahead = self.boottime_ahead_s
        clock = [] if ahead is None else ["--time", "--boottime", str(ahead)]
        return ["unshare", "--mount", *clock, "sh", "-c", script, str(self.boot_id)]

    def stop(self) -> None:
        """Stop listening; open connections go on, as with a real restart."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def connection_pids(self) -> list[int]:
        """The sshd processes that serve connections (privileged and not), whoever connected."""
        assert self.process is not None
        return [pid for pid in descendants(self.process.pid) if _is_sshd(pid)]

    def cut_connections(self, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """End each connection on the server's side; return once they are gone."""
        pids = self.connection_pids()

        def gone() -> bool:
            end(
                [pid for pid in pids if any_alive([pid])], with_signal
            )  # sshd can sleep through the first TERM
            return not any_alive(pids)

        eventually(gone, within=10)

    def pids_of_run(self, run_id: str) -> list[int]:
        """Processes on this machine that carry the run's id in their environment: its script and children."""
        return with_run_id(run_id)

    def end(self, pids: Iterable[int]) -> None:
        """Kill what a test has left behind on purpose."""
        end(pids, signal.SIGKILL)

    def log_tail(self) -> str:
        return self.log.read_bytes()[-KEPT_LOG_BYTES:].decode(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """End everything that it started: listener, connections, supervisors and scripts of runs."""
        served: dict[int, bytes] = {}
        if self.process is not None:
            served = {pid: born(pid) for pid in descendants(self.process.pid)}
            self.stop()
        left: set[int] = set()
        for _ in range(20):
            found = {
                pid for pid, birth in served.items() if birth and born(pid) == birth and any_alive([pid])
            } | mentioning(str(self.directory))
            left = found | descendants(*found)
            if not left:
                remove_spools(self.directory.name)
                return
            end(left, signal.SIGKILL)
            eventually(functools.partial(_gone, frozenset(left)), within=60)
        raise RuntimeError(f"processes of {self.directory} do not end: {sorted(left)}")

    def _settings(self) -> dict[str, str]:
        own = {
            "Port": str(self.port),
            "ListenAddress": "0.0.0.0",
            "HostKey": str(self.directory / "host_ed25519"),
            "AuthorizedKeysFile": str(self.authorized_keys),
            "PidFile": str(self._pid_file),
        }
        return {**CONFIG, **no_penalties(), **own, **self.options}

    @property
    def _pid_file(self) -> Path:
        return self.directory / "sshd.pid"

    def _answers(self) -> bool:
        if not self._has_port():
            return False
        if self.within:  # its network is not ours
            return self._listens()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _has_port(self) -> bool:
        """It writes its id down once the port is its own."""
        assert self.process is not None
        try:
            return int(self._pid_file.read_text()) == self.process.pid
        except (OSError, ValueError):  # not there yet, or not whole
            return False

    def _listens(self) -> bool:
        """Whether somebody listens at the port, in the listener's own network."""
        assert self.process is not None
        try:
            lines = Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]
        except OSError:
            return False
        listening = f"00000000:{self.port:04X} 00000000:0000 0A"
        return any(listening in line for line in lines)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


@contextmanager
def private_sshd(*, within: Sequence[str] = (), **options: str) -> Iterator[Sshd]:
    """A running sshd, gone with its directory at the end. `options` are those of sshd_config; `within` stands
    before its command and may put it into namespaces."""
    if os.geteuid() != 0:
        raise RuntimeError("a private sshd logs in users of this machine: run these tests as root")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation directory
    with tempfile.TemporaryDirectory(prefix="sshd-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)  # users other than root keep their files below, too
        server = Sshd(directory, options, within)
        try:
            server.start()
            yield server
        except BaseException as error:
            error.add_note(f"sshd's log:\n{server.log_tail()}")
            raise
        finally:
            server.close()


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    """One sshd for a module's tests; its log is shown with what fails."""
    with private_sshd() as server:
        yield server
        print(f"sshd's log:\n{server.log_tail()}")


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> str:
    """Make a key pair at `path`; give its public half as `ssh-ed25519 AAAA…`."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_suffix(".pub").read_text().strip()


def no_penalties() -> dict[str, str]:
    """sshd 9.8 and later shuts out addresses whose logins fail, which tests do on purpose."""
    answer = subprocess.run([PROGRAM, "-V"], capture_output=True, text=True, check=False).stderr
    version = re.search(r"OpenSSH_(\d+)\.(\d+)", answer)
    new = version is not None and (int(version[1]), int(version[2])) >= (9, 8)
    return {"PerSourcePenalties": "no"} if new else {}


def _is_sshd(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("sshd")
    except OSError:
        return False


def _gone(pids: frozenset[int]) -> bool:
    return not any_alive(pids)
