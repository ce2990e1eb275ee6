"""A real Celery worker process for a test: started, signalled, ended by its id; a failure shows its log."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.eventually import eventually

__all__ = ["CeleryWorker", "celery_worker"]


class CeleryWorker:
    """One running worker process (under prefork: the main one)."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], name: str, log: Path) -> None:
        self.name = name
        """What `control` and `inspect` take as destination."""
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    def await_ready(self) -> None:
        """Return once it consumes from its queues."""
        eventually(lambda: " ready." in self.log or self.process.poll() is not None, within=120)
        if self.process.poll() is not None:
            raise RuntimeError(f"the worker ended with {self.process.returncode}:\n{self.log}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within: float = 60) -> int:
        """Await its end; give its exit code."""
        eventually(lambda: self.process.poll() is not None, within=within)
        return self.process.returncode


@contextmanager
def celery_worker(
    app: str,
    *,
    concurrency: int | None = 10,
    pool: str = "custom",
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Iterator[CeleryWorker]:
    """A worker of `app` (as for `celery -A`) that is ready; killed at the end if it still runs.

    `pool` is `custom` for ours, else one of Celery's; `within` stands before its command and may put it into
    namespaces. A failing test shows the worker's log.
    """
    name = f"w-{uuid.uuid4().hex[:8]}@test"
    size = [] if concurrency is None else ["-c", str(concurrency)]
    command = [
        *within,
        *(sys.executable, "-m", "celery", "-A", app, "worker", "-P", pool, *size, "-n", name, "-l", "INFO"),
        *("--without-gossip", "--without-mingle", *options),
    ]
    variables = {"CELERY_CUSTOM_WORKER_POOL": "workers.pools:AsyncioPool", **(environment or {})}
    with tempfile.TemporaryDirectory(prefix="worker-") as directory:
        worker = CeleryWorker(command, variables, name, Path(directory) / "log")
        try:
            worker.await_ready()
            yield worker
        finally:
            _end(worker)
            print(f"--- {name} ---\n{worker.log}")  # pytest shows it if the test fails


def _end(worker: CeleryWorker) -> None:
    """In order first, so that prefork's children go with it."""
    if worker.process.poll() is None:
        worker.signal(signal.SIGQUIT)
        try:
            worker.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
