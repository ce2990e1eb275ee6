"""Processes on this machine as a test sees them: whose child, which run, still there; and what runs left."""

import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

__all__ = ["any_alive", "descendants", "end", "mentioning", "remove_spools", "with_run_id"]


def descendants(pid: int) -> set[int]:
    """All children of a process, and theirs."""
    parent_of = dict(_parents())
    found: set[int] = set()
    grown = True
    while grown:
        more = {child for child, parent in parent_of.items() if parent == pid or parent in found} - found
        found |= more
        grown = bool(more)
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


def any_alive(pids: Iterable[int]) -> bool:
    """Whether one of them still runs; a zombie does not."""
    states = (_read(pid, "stat").rpartition(b")")[2].split()[:1] for pid in pids)
    return any(state and state[0] not in (b"Z", b"X") for state in states)


def remove_spools(part_of_base: str) -> None:
    """Runs keep their output on a tmpfs, in directories named after the helper's base."""
    for place in (Path("/run"), Path("/dev/shm")):
        for spool in place.glob(f"ca-*{part_of_base}*"):
            shutil.rmtree(spool, ignore_errors=True)


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
