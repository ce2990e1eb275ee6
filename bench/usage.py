"""What a process uses, as the kernel counts it: CPU, memory, threads. Linux's /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cpu_s", "machine", "memory_available_mib", "pss_mib", "rss_mib", "threads"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, all threads; without its children."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_mib(pid: int) -> float:
    """Memory that is resident, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MIB


def threads(pid: int) -> int:
    return int(_stat(pid)[17])


def pss_mib(pids: Iterable[int]) -> float:
    """Memory of several processes; a shared page counts once, divided among its users."""
    total_kib = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        total_kib += next(
            (int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0
        )
    return total_kib / 1024


def memory_available_mib() -> float:
    """What may still be taken without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    names = os.uname()
    load = os.getloadavg()
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * _PAGE_MIB / 1024, 1),
        "kernel": names.release,
        "load_before": round(load[0], 2),
    }


def _stat(pid: int) -> list[str]:
    """The fields after the command's name: the first is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
