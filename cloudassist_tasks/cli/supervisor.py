"""Keep child processes running until told to end, then leave none.

One thread; signals and the ends of children wake it through a pipe. A child that dies is started again,
later each time; one that has run for a while is forgiven. Children have sessions of their own, so
Ctrl-C reaches the parent alone; the leash ends them when the parent is killed.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cloudassist_tasks.cli.processes import Start

__all__ = ["Child", "Supervisor"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
FORGIVEN_AFTER_S = 60.0
"""A child that has run so long starts again after the first pause."""

QUIT_GRACE_S = 5.0
"""Between SIGQUIT and SIGKILL."""

KEPT_LOG_BYTES = 10 * 1024 * 1024
"""A longer log is put aside; one such older part is kept."""

LOG_LOOK_S = 2.0
"""How often to look how long the logs are."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One process to be kept running."""

    name: str
    start: Start
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    """When to start it; monotonic seconds."""
    deaths: int = 0
    """In a row."""

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self.process.pid if self.process is not None else 0


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """`run` keeps the children until SIGTERM or SIGINT; then they are drained."""

    children: Sequence[Child]
    say: Callable[[str], None]
    """Tell the user, one line."""
    drain_s: float = 60.0
    """How long children may take to end after SIGTERM; a second signal cuts it short."""
    signals: list[int] = field(default_factory=list)
    """SIGTERM and SIGINT so far."""
    _logs_at: float = 0.0
    """When to look at the logs; monotonic seconds."""

    def run(self, ticks: Sequence[Callable[[], None]] = (), every_s: float = 0.25) -> None:
        """Start the children and keep them; each of `ticks` is called about every `every_s`."""
        with self._signals() as pipe:
            try:
                while not self.signals:
                    self._reap()
                    self._put_logs_aside()
                    self._start_due()
                    for tick in ticks:
                        tick()
                    _await(pipe, every_s)
            finally:
                self._drain(pipe)

    # -- keeping

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None and now >= child.start_at:
                try:
                    child.process, child.started_at = _spawn(child), now
                except OSError as error:  # no room for its log, no process to be had
                    child.deaths += 1
                    self._start_later(child, f"cannot be started: {error.strerror or error}")

    def _reap(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            status = child.process.returncode
            _kill_group(child.process.pid)  # what it left behind, else the next one meets it
            child.deaths = 1 if now - child.started_at > FORGIVEN_AFTER_S else child.deaths + 1
            child.process = None
            self._start_later(child, _end_of(status))

    def _start_later(self, child: Child, why: str) -> None:
        pause = min(FIRST_PAUSE_S * 2 ** min(child.deaths - 1, 10), LONGEST_PAUSE_S)
        child.start_at = time.monotonic() + pause
        self.say(f"{child.name} {why}; it starts again in {pause:g} s (log: {child.log})")

    def _put_logs_aside(self) -> None:
        now = time.monotonic()
        if now < self._logs_at:
            return
        self._logs_at = now + LOG_LOOK_S
        for child in self.children:
            try:
                _put_aside_if_long(child.log)
            except OSError:  # no room: a log on a full disk does not grow either
                pass

    # -- ending

    def _drain(self, pipe: int) -> None:
        """SIGTERM, then SIGQUIT, then SIGKILL to whatever is left, its children included."""
        running = [child for child in self.children if child.process is not None]
        self._end(pipe, running, signal.SIGTERM, self.drain_s)
        if left := [child for child in running if child.process is not None]:
            self.say(f"{', '.join(child.name for child in left)} did not end in time; cutting short")
            self._end(pipe, left, signal.SIGQUIT, QUIT_GRACE_S)
        for child in running:
            if child.process is not None:
                _kill_group(child.process.pid)
                child.process.wait()
                child.process = None

    def _end(
        self, pipe: int, children: Sequence[Child], with_signal: signal.Signals, within_s: float
    ) -> None:
        for child in children:
            if child.process is not None:
                child.process.send_signal(with_signal)
        deadline, heard = time.monotonic() + within_s, len(self.signals)
        while time.monotonic() < deadline and len(self.signals) == heard:
            for child in children:
                if child.process is not None and child.process.poll() is not None:
                    _kill_group(child.process.pid)
                    child.process = None
            if not any(child.process for child in children):
                return
            _await(pipe, 0.1)

    # -- signals

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Take note of signals; each one, and each child's end, makes the pipe readable."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._heard) for number in asked}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            yield reader
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_fd)
            os.close(reader)
            os.close(writer)

    def _heard(self, number: int, _frame: object) -> None:
        self.signals.append(number)


def _spawn(child: Child) -> subprocess.Popen[bytes]:
    child.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    leash = (sys.executable, "-m", "cloudassist_tasks.cli.leash", str(os.getpid()))
    with child.log.open("ab") as log:
        return subprocess.Popen(
            [*leash, *child.start.argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child.start.environ(),
            cwd=child.start.directory,
            start_new_session=True,
            pass_fds=child.start.descriptors,
        )


def _put_aside_if_long(log: Path) -> None:
    """Its process has it open, to append: so it is copied and cut to nothing. A line that is written between
    the two is lost."""
    if log.exists() and log.stat().st_size > KEPT_LOG_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def _await(pipe: int, seconds: float) -> None:
    select.select([pipe], [], [], seconds)
    try:
        os.read(pipe, 4096)
    except BlockingIOError:  # nothing happened
        pass


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left in it
        pass


def _end_of(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
