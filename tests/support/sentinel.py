"""A primary, a replica and a Sentinel that watches them, for real: the same server program on loopback ports.

with watched_servers() as servers:
    servers.url(0)          # what CLOUDASSIST_REDIS_URL takes
    servers.primary.kill()  # the Sentinel makes the replica the primary
"""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.support.eventually import eventually
from tests.support.ports import own_port
from tests.support.valkey import server_program

__all__ = ["WatchedServers", "watched_servers"]

NAME = "main"
GONE_AFTER_MS = 2_000


class Server:
    """One process, with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = own_port(self)
        self._directory = directory
        self._directory.mkdir()
        self._config = directory / "server.conf"
        self._options: Sequence[str] = ()
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, *lines: str, options: Sequence[str] = ()) -> None:
        """Start it for the first time; `lines` are of its configuration."""
        self._options = options
        own = [f"port {self.port}", f"dir {self._directory}", "bind 127.0.0.1"]
        self._config.write_text("\n".join([*own, *lines]))
        self.start()

    def start(self) -> None:
        """Start it again, where it was."""
        with (self._directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [server_program(), str(self._config), *self._options], stdout=log, stderr=log
            )
        self.process = process
        eventually(lambda: self._answers() or process.poll() is not None, within=60)
        assert process.poll() is None, (self._directory / "log").read_text()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            assert self.process is not None
            return bool(client.ping()) and client.info("server")["process_id"] == self.process.pid
        return False


class WatchedServers:
    def __init__(self, directory: Path) -> None:
        self.primary = Server(directory / "primary")
        self.replica = Server(directory / "replica")
        self.sentinel = Server(directory / "sentinel")

    def url(self, db: int = 0) -> str:
        """What the settings take."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{NAME}?db={db}"

    def start(self) -> None:
        """Return once the Sentinel knows the replica, and that has all data."""
        self.primary.begin("appendonly yes")
        self.replica.begin("appendonly yes", f"replicaof 127.0.0.1 {self.primary.port}")
        self.sentinel.begin(
            f"sentinel monitor {NAME} 127.0.0.1 {self.primary.port} 1",
            f"sentinel down-after-milliseconds {NAME} {GONE_AFTER_MS}",
            f"sentinel failover-timeout {NAME} 10000",
            options=["--sentinel"],
        )
        eventually(self._are_known, within=60)

    def replicate(self) -> None:
        """Return once the replica has what the primary has acknowledged so far."""
        with self.primary.client() as client:
            client.set("replicated", 1)  # WAIT is for what this connection has written
            eventually(lambda: client.wait(1, 1_000) == 1, within=60)

    def fail_over(self) -> None:
        """Kill the primary; return once the replica is in its place."""
        self.primary.kill()
        eventually(lambda: self.role_of(self.replica) == "master", within=60)

    def role_of(self, server: Server) -> str:
        with server.client() as client:
            return str(client.role()[0])

    def close(self) -> None:
        for server in (self.sentinel, self.replica, self.primary):
            server.kill()

    def _are_known(self) -> bool:
        with self.sentinel.client() as sentinel, self.replica.client() as replica:
            link = replica.info("replication").get("master_link_status")
            return link == "up" and int(sentinel.sentinel_master(NAME)["num-slaves"]) == 1


@contextmanager
def watched_servers() -> Iterator[WatchedServers]:
    """Running, gone with their data at the end."""
    with tempfile.TemporaryDirectory(prefix="watched-") as directory:
        servers = WatchedServers(Path(directory))
        try:
            servers.start()
            yield servers
        finally:
            servers.close()
