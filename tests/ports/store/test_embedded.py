"""The embedded server: one per data directory, from its first user to its last, through every kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.store.embedded import Embedded, acquire, broker_url_beside
from cloudassist_tasks.store.file_lock import is_free
from cloudassist_tasks.store.machine_memory import memory_of_machine
from tests.support.eventually import eventually

USER = """
import sys
from pathlib import Path
import redis
from cloudassist_tasks.store.embedded import acquire

with acquire(Path(sys.argv[1])) as server:
    print(redis.Redis.from_url(server.store_url).info("server")["process_id"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short enough for a socket. Whatever still runs in it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="ca ") as folder:
        path = Path(folder) / "data"
        yield path
        if runs_in(path):
            acquire(path).release()


class User:
    """A process that uses the server until it is told to end."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def server_pid(self) -> int:
        """Waits until it has the server."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate("")
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def client(server: Embedded) -> "redis.Redis":
    return redis.Redis.from_url(server.store_url, decode_responses=True)


def pid_of(server: Embedded) -> int:
    return int(client(server).info("server")["process_id"])


def runs_in(data_dir: Path) -> bool:
    folder = data_dir / "store"
    return folder.exists() and not is_free(folder / "server.lock")


def test_the_first_user_starts_it_and_the_last_one_stops_it(data_dir: Path) -> None:
    first = acquire(data_dir)
    second = acquire(data_dir)
    assert first.store_url == second.store_url

    first.release()
    first.release()
    while_used = runs_in(data_dir)
    client(second).set("kept", "yes")
    second.release()

    assert while_used
    assert not runs_in(data_dir)
    with acquire(data_dir) as third:
        assert client(third).get("kept") == "yes"


def test_eight_processes_at_once_start_one_server(data_dir: Path) -> None:
    users = [User(data_dir) for _ in range(8)]

    pids = {user.server_pid() for user in users}

    assert len(pids) == 1
    for user in users:
        user.end()
    assert not runs_in(data_dir)


def test_after_all_users_were_killed_the_next_finds_it_and_stops_it(data_dir: Path) -> None:
    users = [User(data_dir) for _ in range(2)]
    [pid] = {user.server_pid() for user in users}

    for user in users:
        user.kill()

    with acquire(data_dir) as server:
        assert pid_of(server) == pid
    assert not runs_in(data_dir)


def test_after_the_server_was_killed_the_next_user_has_all_that_was_acknowledged(data_dir: Path) -> None:
    with acquire(data_dir) as first:
        for number in range(200):
            client(first).sadd("numbers", number)  # redis-py asks again where an answer is late
        os.kill(pid_of(first), signal.SIGKILL)

        with acquire(data_dir) as second:
            assert client(second).scard("numbers") == 200
            assert not second.revive()
            os.kill(pid_of(second), signal.SIGKILL)
            eventually(lambda: not runs_in(data_dir))
            assert first.revive()
            assert client(second).scard("numbers") == 200
    assert not runs_in(data_dir)


def test_a_path_too_long_for_a_socket_gets_a_port_with_a_password(data_dir: Path) -> None:
    deep = data_dir / ("x" * 60) / ("y" * 60)
    deep.parent.mkdir(parents=True)

    with acquire(deep) as server:
        url, pid = server.store_url, pid_of(server)
        password = (deep / "store" / "password").read_text()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(url.replace(password, "wrong")).ping()
        bound = {entry["laddr"].rpartition(":")[0] for entry in client(server).client_list()}
        command_line = Path(f"/proc/{pid}/cmdline").read_text()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not runs_in(deep))
        server.revive()
        revived = client(server).ping()  # the same port and password

    assert url.startswith("redis://:")
    assert bound == {"127.0.0.1"}
    assert password not in command_line
    assert revived
    for name in ("password", "valkey.conf"):
        assert (deep / "store" / name).stat().st_mode & 0o777 == 0o600
    assert not runs_in(deep)


def test_the_broker_lives_in_another_database_of_it(data_dir: Path) -> None:
    with acquire(data_dir) as server, Connection(server.broker_url) as connection:  # type: ignore[no-untyped-call]
        queue = connection.SimpleQueue("q")
        queue.put({"a": 1})
        stored = client(server).dbsize()
        message = queue.get(timeout=60)
        queue.close()

    assert message.payload == {"a": 1}
    assert stored == 0


@pytest.mark.parametrize(
    ("store_url", "broker_url"),
    [
        ("redis://h:1234/3", "redis://h:1234/4"),
        ("redis://u:p%40@h/15", "redis://u:p%40@h/14"),
        ("rediss://:pw@h", "rediss://:pw@h/1"),
        ("redis://[::1]:1234?db=2&a=b", "redis://[::1]:1234/3?a=b"),
        ("unix://:pw@/c", "redis+socket://:pw@/c?virtual_host=1"),
        ("unix:///a%20b/c?db=2", "redis+socket:///a%20b/c?virtual_host=3"),
    ],
)
def test_the_broker_of_a_given_store_is_its_next_database(store_url: str, broker_url: str) -> None:
    assert broker_url_beside(store_url) == broker_url


def test_it_is_safe_on_disk_from_others_and_from_ctrl_c(data_dir: Path) -> None:
    with acquire(data_dir) as server:
        settings = client(server).config_get("*")
        session = os.getsid(pid_of(server))

    assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")
    assert (settings["maxmemory-policy"], settings["save"]) == ("noeviction", "")
    assert settings["maxmemory"] == str(memory_of_machine() // 2)
    assert settings["port"] == "0"
    assert session != os.getsid(0)
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert (data_dir / "store").stat().st_mode & 0o777 == 0o700


def test_its_memory_is_what_was_asked_for(data_dir: Path) -> None:
    with acquire(data_dir, max_mb=77) as server:
        assert client(server).config_get("maxmemory") == {"maxmemory": str(77 * 1024**2)}


def test_a_place_that_cannot_be_used_is_named(data_dir: Path) -> None:
    data_dir.write_text("a file")

    with pytest.raises(Broken, match=r"cannot use .*data/store: "):
        acquire(data_dir)

    data_dir.unlink()


def test_a_damaged_file_is_told_with_the_server_s_own_words(data_dir: Path) -> None:
    with acquire(data_dir) as server:
        client(server).set("a", "b")
    for part in (data_dir / "store" / "appendonlydir").glob("*.incr.aof"):
        part.write_bytes(b"*2\r\nrubbish" + part.read_bytes())

    with pytest.raises(Broken, match=r"the embedded store has ended: .*[Bb]ad file format"):
        acquire(data_dir)

    shutil.rmtree(data_dir)


def test_the_program_is_found_on_the_path_where_there_is_no_wheel_or_its_lack_is_told() -> None:
    ask = "from cloudassist_tasks.store.binary import server_binary; print(server_binary())"

    def found(path: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": path, "PYTHONPATH": os.getcwd()}
        return subprocess.run(
            [sys.executable, "-S", "-c", ask], env=environment, capture_output=True, text=True, check=False
        )

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nothing = found(str(folder))
        old = folder / "redis-server"
        old.write_text("#!/bin/sh\necho 'Redis server v=6.2.1 sha=0'\n")
        old.chmod(0o755)
        too_old = found(str(folder))
        old.write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=0'\n")
        good = found(str(folder))

    assert "CLOUDASSIST_REDIS_URL" in nothing.stderr
    assert "redis-server" in too_old.stderr
    assert good.stdout.strip() == str(old)
