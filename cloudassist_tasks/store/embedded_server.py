"""The embedded server as a process: how it is configured, started, recognised and stopped.

It is a daemon in a session of its own, so that Ctrl-C in a terminal does not end it before its users
are done. It inherits a descriptor of `server.lock`, which is thus held exactly as long as it lives: no
second one can start on the same files, and no process id is ever guessed at.
"""

import errno
import json
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.store.binary import server_binary
from cloudassist_tasks.store.file_lock import POLL_S, is_free, open_lock, try_exclusive
from cloudassist_tasks.store.machine_memory import memory_of_machine

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel takes 107 (103 on macOS). Beyond it the server listens on a port instead."""

READY_WITHIN_S = 60.0
"""From the start to the first answer, reading the append-only file included."""

GONE_WITHIN_S = 30.0
"""From SHUTDOWN to the end of the process."""

ANSWER_WITHIN_S = 5.0

SHARE_OF_MEMORY = 0.5
"""What it takes at most where nobody says: while it rewrites its append-only file, it may need as much again,
and the rest of the machine needs some. Without a limit the kernel would end it, or something else."""

MIB = 1024 * 1024

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class EmbeddedServer:
    """Of one folder. Whoever calls `start` or `stop` holds the start lock."""

    def __init__(self, folder: Path, max_mb: int) -> None:
        self._folder = folder
        self._max_mb = max_mb
        self._lock = folder / "server.lock"
        self._log = folder / "valkey.log"

    @property
    def store_url(self) -> str:
        """Database 0, for redis-py and `Link`."""
        port = self._port()
        if port:
            return f"redis://:{self._password()}@127.0.0.1:{port}/0"
        return f"unix://{quote(str(self._socket()))}?db=0"

    def is_running(self) -> bool:
        """Whether its process lives."""
        return not is_free(self._lock)

    def start(self) -> None:
        """Start it on the data of before, and wait until it answers. `Broken` with what its log says."""
        path = self._socket()
        port = 0 if _takes_sockets(path) else self._port_to_use()
        config = self._folder / "valkey.conf"
        _write_private(config, self._configuration(path, port))
        _write_private(self._folder / "server.json", json.dumps({"port": port}))
        descriptor = open_lock(self._lock)
        try:
            if not try_exclusive(descriptor):
                raise Broken(f"a server runs in {self._folder} already")
            self._spawn(config, descriptor)
        finally:
            os.close(descriptor)
        if not self.answers():
            raise Broken(f"the embedded store has ended: {self._last_words()}")

    def answers(self) -> bool:
        """Wait until it answers; it may still read its file. False if it ends, `Broken` if it hangs."""
        deadline_s = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                with self._client() as client:
                    client.ping()
                return True
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                if not self.is_running():
                    return False
                if time.monotonic() > deadline_s:
                    raise Broken(
                        f"the embedded store in {self._folder} runs but does not answer; see {self._log}"
                    ) from error
                time.sleep(POLL_S)

    def stop(self) -> None:
        """Shut it down in order and wait until its process is gone. `Broken` if it does not go."""
        try:
            with self._client() as client:
                client.shutdown(nosave=True)  # the append-only file is flushed all the same
        except (redis.RedisError, OSError):
            pass  # it is gone already, or it is not: seen below
        deadline_s = time.monotonic() + GONE_WITHIN_S
        while self.is_running():
            if time.monotonic() > deadline_s:
                raise Broken(f"the embedded store in {self._folder} does not end; see {self._log}")
            time.sleep(POLL_S)

    # -- inside

    def _spawn(self, config: Path, lock: int) -> None:
        """The process that we start forks the server and ends."""
        try:
            started = subprocess.run(
                [server_binary(), config],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock],
                timeout=READY_WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Broken(f"the embedded store does not start within {error.timeout:g} s") from error
        if started.returncode != 0:
            said = started.stdout.decode(errors="replace").strip().splitlines()
            raise Broken(f"the embedded store does not start: {said[-1] if said else self._last_words()}")

    def _configuration(self, path: Path, port: int) -> str:
        settings: dict[str, object] = {
            "daemonize": "yes",
            "dir": self._folder,
            "pidfile": self._folder / "valkey.pid",
            "logfile": self._log,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory": self._max_mb * MIB or int(SHARE_OF_MEMORY * memory_of_machine()),
            "maxmemory-policy": "noeviction",
            "port": port,
        }
        if port:
            settings |= {"bind": "127.0.0.1", "requirepass": self._password()}
        else:
            settings |= {"unixsocket": path, "unixsocketperm": "700"}
        return "".join(f"{name} {_quoted(str(value))}\n" for name, value in settings.items())

    def _client(self) -> "redis.Redis":
        return redis.Redis.from_url(
            self.store_url,
            socket_timeout=ANSWER_WITHIN_S,
            socket_connect_timeout=ANSWER_WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        )

    def _socket(self) -> Path:
        return self._folder / "valkey.sock"

    def _port(self) -> int:
        """0: it listens on its socket, or has never been started."""
        try:
            return int(json.loads((self._folder / "server.json").read_text())["port"])
        except FileNotFoundError:
            return 0

    def _port_to_use(self) -> int:
        """The one of before if it is free, so that its users find it again."""
        for port in (self._port(), 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise Broken("no loopback port is free for the embedded store; choose a shorter CLOUDASSIST_DATA_DIR")

    def _password(self) -> str:
        """Made once per data directory."""
        path = self._folder / "password"
        if not path.exists():
            _write_private(path, secrets.token_hex(24))
        return path.read_text()

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return f"{lines[-1]} ({self._log})" if lines else f"it wrote nothing to {self._log}"


def _takes_sockets(path: Path) -> bool:
    """Whether a server can listen there: the path is short enough, and the file system has sockets."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        return False
    path.unlink(missing_ok=True)  # of a server that was killed
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(str(path))
        except OSError as error:
            if error.errno in NO_ROOM:  # which may pass; those who use it would look for it here
                raise
            return False
    path.unlink()
    return True


def _write_private(path: Path, text: str) -> None:
    """In one step, readable by its owner alone."""
    fresh = path.with_suffix(path.suffix + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
