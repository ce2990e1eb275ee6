"""Processes on this machine as a test sees them: whose child, which run, still there; and what runs left."""

import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "any_alive",
    "born",
    "cut_power",
    "descendants",
    "end",
    "mentioning",
    "remove_spools",
    "room_for_processes",
    "with_run_id",
]

_PID_MAX = Path("/proc/sys/kernel/pid_max")


def descendants(*pids: int) -> set[int]:
    """All children of the processes, and theirs."""
    children_of: dict[int, list[int]] = {}
    for child, parent in _parents():
        children_of.setdefault(parent, []).append(child)
    found: set[int] = set()
    looked_at = list(pids)
    while looked_at:
        children = set(children_of.get(looked_at.pop(), ())) - found
        found |= children
        looked_at += children
    return found


def with_run_id(run_id: str) -> list[int]:
    """Processes that carry `CA_RUN_ID=<run_id>` in their environment and are not zombies."""
    wanted = f"CA_RUN_ID={run_id}".encode()
    return [pid for pid in _pids() if wanted in _read(pid, "environ").split(b"\0")]


def mentioning(text: str) -> set[int]:
    """Processes (not this one) with the text in their arguments or environment."""
    wanted = text.encode()
    others = (pid for pid in _pids() if pid != os.getpid())
    return {pid for pid in others if wanted in _read(pid, "cmdline") or wanted in _read(pid, "environ")}


def end(pids: Iterable[int], with_signal: signal.Signals) -> None:
    """Signal each one that is still there."""
    for pid in pids:
        try:
            os.kill(pid, with_signal)
        except ProcessLookupError:
            pass  # it ended by itself


def cut_power(find: Callable[[], Iterable[int]]) -> None:
    """End all that it finds as a power cut does: none sees another one end. They are frozen first."""
    frozen: set[int] = set()
    while begun := set(find()) - frozen:
        end(begun, signal.SIGSTOP)
        frozen |= begun
    end(frozen, signal.SIGKILL)


def born(pid: int) -> bytes:
    """When a process started, in the kernel's words; empty if it is gone. With the id it names a process for
    ever: ids alone are given away again, soon where there are thousands."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return fields[19] if fields else b""


def any_alive(pids: Iterable[int]) -> bool:
    """Whether one of them still runs; a zombie does not."""
    states = (_read(pid, "stat").rpartition(b")")[2].split()[:1] for pid in pids)
    return any(state and state[0] not in (b"Z", b"X") for state in states)


def remove_spools(part_of_base: str) -> None:
    """Runs keep their output on a tmpfs, in directories named after the helper's base."""
    for place in (Path("/run"), Path("/dev/shm")):
        for spool in place.glob(f"ca-*{part_of_base}*"):
            shutil.rmtree(spool, ignore_errors=True)


@contextmanager
def room_for_processes(ids: int) -> Iterator[None]:
    """At least so many process ids, for a while: where a test's hosts are all this machine, the kernel's
    default (32,768) is soon used up. Only root may raise it."""
    before = _PID_MAX.read_text()
    if os.geteuid() == 0 and int(before) < ids:
        _PID_MAX.write_text(str(ids))
    try:
        yield
    finally:
        if os.geteuid() == 0:
            _PID_MAX.write_text(before)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # gone, or a zombie
        return b""


def _parents() -> Iterable[tuple[int, int]]:
    for pid in _pids():
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        if fields:
            yield pid, int(fields[1])
