"""The command `cloudassist` as a user has it: a process of its own, in an installation of its own.

    with installation() as home:
        home.add(sshd, "i-1", "127.0.0.2")
        with home.up():
            done = home("run", "uptime", "-i", "i-1")
            assert done.exit == 0, done

It runs in an empty directory, so that nothing is found there by chance. It lies in memory where it
can: on a disk, its store waits for every flush.

What is asked for does not depend on the process: `home.here(…)`, or `installation(here=True)` for all calls,
runs the same command in the test's own, without the start of an interpreter.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from cloudassist_tasks.cli.app import run_command
from tests.support.eventually import eventually
from tests.support.processes import any_alive, descendants, end, mentioning
from tests.support.sshd import Sshd
from tests.support.valkey import memory_folder

__all__ = ["Done", "Installation", "Up", "installation"]

COMMAND = (sys.executable, "-m", "cloudassist_tasks.cli")
NOTHING: Mapping[str, str] = MappingProxyType({})
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    exit: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one document."""
        return json.loads(self.out)

    @property
    def ndjson(self) -> list[Any]:
        """Standard output as one object per line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Installation:
    """A data directory, and the command that talks to it."""

    def __init__(self, directory: Path, *, here: bool = False, **environment: str) -> None:
        self.directory = directory
        self._always_here = here
        self.data_dir = directory / "data"
        self.empty = directory / "empty"
        self.empty.mkdir()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CLOUDASSIST_")}
        self.environment = {
            **inherited,
            "PYTHONDONTWRITEBYTECODE": "",  # dozens of short processes: let them share compiled modules
            "HOME": str(directory),
            "CLOUDASSIST_DATA_DIR": str(self.data_dir),
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def __call__(
        self, *arguments: str, stdin: str = "", within: float = 60, environment: Mapping[str, str] = NOTHING
    ) -> Done:
        """Run the command to its end."""
        if self._always_here:
            return self.here(*arguments, stdin=stdin, environment=environment)
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within,
            cwd=self.empty,
            env={**self.environment, **environment},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def here(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] = NOTHING) -> Done:
        """The same in this process, which must have no other plane on its loop."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        with (
            patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            patch.object(sys, "stdin", given),
            redirect_stdout(out),
            redirect_stderr(err),
            chdir(self.empty),
        ):
            code = run_command(list(arguments))
        return Done(code, *(said.buffer.getvalue().decode() for said in (out, err)))

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        """Start the command; its streams go where `streams` says."""
        return subprocess.Popen(
            [*COMMAND, *arguments], text=True, cwd=self.empty, env=self.environment, **streams
        )

    def add(self, sshd: Sshd, instance_id: str, host: str, *more: str) -> None:
        """Register an instance on a private sshd."""
        done = self(
            "instance", "add", instance_id, "--host", host, "--port", str(sshd.port),
            "--identity", sshd.identity, "--host-key", sshd.host_key, "--remote-base", str(sshd.base), *more,
        )  # fmt: skip
        assert done.exit == 0, done

    @contextmanager
    def up(self, *options: str) -> Iterator["Up"]:
        """`cloudassist up` until the end of the block, which it has ended by then."""
        up = Up(self, options)
        try:
            eventually(up.is_ready, within=180)
            yield up
        finally:
            up.end()

    def processes(self) -> set[int]:
        """Whatever runs for this installation."""
        return {pid for pid in mentioning(str(self.data_dir)) if any_alive([pid])}


class Up:
    """A running `cloudassist up`."""

    def __init__(self, home: Installation, options: Sequence[str]) -> None:
        self.home = home
        self.said = home.directory / "up.out"
        with self.said.open("w") as said:
            self.process = home.start("up", *options, stdout=said, stderr=subprocess.STDOUT)

    def is_ready(self) -> bool:
        """Whether it has said so; fails at once if it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"`up` ended with {self.process.returncode}:\n{self.text()}\n{self.logs()}")
        return "ready" in self.text().splitlines()

    def text(self) -> str:
        """What it has printed so far."""
        return self.said.read_text()

    def logs(self) -> str:
        """The ends of its children's logs."""
        files = sorted((self.home.data_dir / "logs").glob("*.log"))
        return "\n".join(f"-- {file.name}\n{file.read_text()[-2000:]}" for file in files)

    def end(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            end({self.process.pid, *descendants(self.process.pid)}, signal.SIGKILL)
            raise


@contextmanager
def installation(*, here: bool = False, **environment: str) -> Iterator[Installation]:
    """An installation that is gone, with its processes, at the end. `here`: see above."""
    with tempfile.TemporaryDirectory(prefix="ca-", dir=memory_folder(), ignore_cleanup_errors=True) as name:
        home = Installation(Path(name), here=here, **environment)
        try:
            yield home
        finally:
            eventually(lambda: _ended(home.processes()), within=30)


def _ended(pids: set[int]) -> bool:
    """Whether there were none; those that there were are killed."""
    end(pids, signal.SIGKILL)
    return not pids
